import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { connectNats, MemoryKeyValueStore, MemoryMessageBus, NatsMessageBus, subjects } from "../../src/bus/index.ts";
import { AgentRegistry } from "../../src/coordinator/fleet/agent-registry.ts";
import { CatalogLocations } from "../../src/coordinator/fleet/catalog-locations.ts";
import { FleetDispatcher } from "../../src/coordinator/fleet/fleet-dispatcher.ts";
import { FleetScheduler } from "../../src/coordinator/fleet/fleet-scheduler.ts";
import { LayerCatalog } from "../../src/coordinator/fleet/layer-catalog.ts";
import { LayerOrigins } from "../../src/coordinator/fleet/layer-origins.ts";
import { openCacheMounts } from "../../src/coordinator/fleet/open-cache-mounts.ts";
import { TaskPlanner } from "../../src/coordinator/fleet/task-planner.ts";
import { TaskSessions } from "../../src/coordinator/fleet/task-sessions.ts";
import { StepHistory } from "../../src/coordinator/scheduling/step-history.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { MessageBus } from "../../src/core/seams/message-bus.ts";
import type { AgentRecord } from "../../src/core/values/agent.ts";
import { hostPlatform } from "../../src/core/values/platform.ts";
import type { Task } from "../../src/core/values/task.ts";
import { decode, encode } from "../../src/util/msgpack.ts";
import { systemClock } from "../../src/util/system-clock.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import type { Figure } from "../figure.ts";
import { startNats } from "../processes/nats.ts";
import type { Workbench } from "../workbench.ts";

const tasks = 200;

/** From "this step can run now" to the first line of the agent that runs it. */
export const dispatchLatency: BenchCase = {
  name: "micro-dispatch",
  about: `from ready to start on the agent, median of ${tasks} tasks: within a process, and over NATS`,
  async run(bench) {
    const memory = new MemoryMessageBus();
    const figures = [await measure(bench, "dispatch, standalone", memory, memory)];
    await memory[Symbol.asyncDispose]();
    await using nats = await startNats(join(bench.directory, "dispatch-nats"));
    const [ours, theirs] = await Promise.all(
      ["coordinator", "agent"].map(async (name) => new NatsMessageBus(await connectNats({ urls: [nats.url] }, name))),
    );
    if (ours === undefined || theirs === undefined) throw new Error("unreachable");
    figures.push(await measure(bench, "dispatch, over NATS", ours, theirs));
    await Promise.all([ours, theirs].map((bus) => bus[Symbol.asyncDispose]()));
    return figures;
  },
};

async function measure(
  bench: Workbench,
  name: string,
  coordinatorBus: MessageBus,
  agentBus: MessageBus,
): Promise<Figure> {
  let startedAt = 0;
  using _agent = agentBus.subscribe(subjects.agentTasks("agent"), (message) => {
    startedAt = performance.now();
    const task = decode<Task>(message.data);
    message.respond(encode({ accepted: true }));
    const result = { digest: "sha256:0" };
    const outcome = { type: "result", result, leaseId: task.leaseId, seq: 0, fetched: [] };
    agentBus.request(subjects.taskOutcome(task.id), encode(outcome), { timeoutMs: 2000 }).catch(() => {});
  });
  using registry = new AgentRegistry({
    coordinatorId: "c",
    bus: coordinatorBus,
    logger: silentLogger,
  });
  const buckets = new MemoryKeyValueStore();
  await using catalog = await LayerCatalog.open(await buckets.open("layers"));
  await using owned = new AsyncDisposableStack();
  const cacheMounts = await openCacheMounts(
    {
      coordinatorId: "c",
      bus: coordinatorBus,
      registry,
      index: await buckets.open("cache-mounts"),
      locks: await buckets.open("cache-mount-locks"),
      clock: systemClock,
      logger: silentLogger,
    },
    owned,
  );
  using history = await StepHistory.open(await buckets.open("step-history"));
  using scheduler = new FleetScheduler({
    coordinatorId: "c",
    registry,
    clock: systemClock,
    locations: new CatalogLocations(catalog),
  });
  using dispatcher = new FleetDispatcher({
    coordinatorId: "c",
    agentLinkAddress: () => "",
    bus: coordinatorBus,
    clock: systemClock,
    logger: silentLogger,
    registry,
    catalog,
    scheduler,
    planner: new TaskPlanner({
      registry,
      history,
      cacheMounts,
      shareOf: () => ({ build: "", tenant: "", priority: 0, weight: 1 }),
      logger: silentLogger,
    }),
    origins: new LayerOrigins(await buckets.open("lineage"), silentLogger),
    coordinatorLives: () => true,
    sessions: new TaskSessions(),
    cacheMounts,
    sessionIsLive: () => false,
  });
  agentBus.publish(subjects.agentHeartbeat("agent"), encode(agentRecord()));
  await agentBus.flush();
  const body = { ref: { layers: [] }, selectors: [] };
  return await bench.sample(name, "ms", bench.rounds(5), async () => {
    const latencies: number[] = [];
    for (let index = 0; index < tasks; index++) {
      const readyAt = performance.now();
      await dispatcher.run("checksum", body, {
        signal: new AbortController().signal,
        sessions: { ids: [], get: noSession, any: noSession },
        progress: { status: () => {}, log: () => {}, warn: () => {} },
      });
      latencies.push(startedAt - readyAt);
    }
    return latencies.sort((a, b) => a - b)[tasks / 2] ?? 0;
  });
}

function agentRecord(): AgentRecord {
  return {
    id: "agent",
    epoch: randomUUID(),
    labels: {},
    platforms: [hostPlatform()],
    gcPolicy: [],
    capacity: { slots: 1, cpu: 1, memoryBytes: 4e9 },
    occupied: {},
    blobUrl: "http://127.0.0.1:1",
    draining: false,
    running: [],
    version: "bench",
  };
}

async function noSession(): Promise<never> {
  throw new Error("no session");
}
