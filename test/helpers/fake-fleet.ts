import { randomUUID } from "node:crypto";
import { MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../src/bus/index.ts";
import { AgentRegistry } from "../../src/coordinator/fleet/agent-registry.ts";
import { CatalogLocations } from "../../src/coordinator/fleet/catalog-locations.ts";
import type { FleetCacheMounts } from "../../src/coordinator/fleet/fleet-cache-mounts.ts";
import { FleetDispatcher, type FleetDispatcherOptions } from "../../src/coordinator/fleet/fleet-dispatcher.ts";
import { FleetScheduler } from "../../src/coordinator/fleet/fleet-scheduler.ts";
import { LayerCatalog } from "../../src/coordinator/fleet/layer-catalog.ts";
import { LayerOrigins } from "../../src/coordinator/fleet/layer-origins.ts";
import { openCacheMounts } from "../../src/coordinator/fleet/open-cache-mounts.ts";
import { TaskPlanner } from "../../src/coordinator/fleet/task-planner.ts";
import { TaskSessions } from "../../src/coordinator/fleet/task-sessions.ts";
import { StepHistory } from "../../src/coordinator/scheduling/step-history.ts";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { StepFailedError } from "../../src/core/errors/step-failed-error.ts";
import type { Clock } from "../../src/core/seams/clock.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { DispatchContext } from "../../src/core/seams/task-dispatcher.ts";
import type { AgentRecord } from "../../src/core/values/agent.ts";
import type { LayerId, LayerInfo } from "../../src/core/values/layer.ts";
import { hostPlatform } from "../../src/core/values/platform.ts";
import type { Task } from "../../src/core/values/task.ts";
import { decode, encode } from "../../src/util/msgpack.ts";
import { FakeSessionGroup } from "./fake-session.ts";

/** What a fake agent does with a task: return a result, throw a BuildError, or never settle. */
export type FakeRun = (task: Task) => Promise<object>;

const hastyClock: Clock = { now: () => Date.now(), sleep: async () => void (await new Promise(setImmediate)) };

/** A coordinator's dispatch with agents that are only subscriptions on a memory bus. Pauses between attempts take no time. */
export class FakeFleet implements AsyncDisposable {
  readonly bus: MemoryMessageBus;
  readonly clock = hastyClock;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly history: StepHistory;
  readonly scheduler: FleetScheduler;
  readonly dispatcher: FleetDispatcher;
  readonly logs: string[] = [];

  readonly buckets: MemoryKeyValueStore;
  readonly cacheMounts: FleetCacheMounts;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    parts: Pick<FakeFleet, "bus" | "registry" | "catalog" | "cacheMounts" | "buckets" | "history" | "scheduler"> &
      Pick<FleetDispatcherOptions, "coordinatorId" | "origins">,
    owned: AsyncDisposableStack,
  ) {
    const { coordinatorId, bus, registry, catalog, origins, cacheMounts, history, scheduler } = parts;
    this.history = history;
    this.scheduler = scheduler;
    this.bus = bus;
    this.registry = registry;
    this.catalog = catalog;
    this.cacheMounts = cacheMounts;
    this.buckets = parts.buckets;
    this.#owned = owned;
    this.dispatcher = new FleetDispatcher({
      coordinatorId,
      agentLinkAddress: () => "",
      bus,
      clock: this.clock,
      logger: silentLogger,
      registry,
      catalog,
      scheduler: this.scheduler,
      planner: new TaskPlanner({
        registry,
        history,
        cacheMounts,
        shareOf: () => ({ build: "", tenant: "", priority: 0, weight: 1 }),
        logger: silentLogger,
      }),
      origins,
      coordinatorLives: (id) => id !== "dead",
      sessions: new TaskSessions(),
      cacheMounts,
      sessionIsLive: () => false,
    });
  }

  /** Coordinators with the same bus and buckets are of one fleet. */
  static async start(
    bus = new MemoryMessageBus(),
    buckets = new MemoryKeyValueStore(),
    coordinatorId = "c",
  ): Promise<FakeFleet> {
    await using owned = new AsyncDisposableStack();
    owned.use(bus);
    const registry = owned.use(new AgentRegistry({ coordinatorId, bus, logger: silentLogger }));
    const catalog = owned.use(await LayerCatalog.open(await buckets.open("layers")));
    const cacheMounts = await openCacheMounts(
      {
        coordinatorId,
        bus,
        registry,
        index: await buckets.open("cache-mounts"),
        locks: await buckets.open("cache-mount-locks"),
        clock: hastyClock,
        logger: silentLogger,
      },
      owned,
    );
    const history = owned.use(await StepHistory.open(await buckets.open("step-history")));
    const locations = new CatalogLocations(catalog);
    const scheduler = owned.use(new FleetScheduler({ coordinatorId, registry, clock: hastyClock, locations }));
    const origins = new LayerOrigins(await buckets.open("lineage"), silentLogger);
    return new FakeFleet(
      { coordinatorId, bus, registry, catalog, origins, cacheMounts, buckets, history, scheduler },
      owned.move(),
    );
  }

  /** Adds an agent; its tasks go to `run`. */
  async agent(id: string, run: FakeRun, more: Partial<AgentRecord> = {}): Promise<FakeAgent> {
    const agent = new FakeAgent(this.bus, id, run, more);
    agent.beat();
    await this.bus.flush();
    return agent;
  }

  context(more: Partial<DispatchContext> = {}): DispatchContext {
    return {
      signal: new AbortController().signal,
      sessions: new FakeSessionGroup(),
      progress: {
        status: () => {},
        log: (_stream, data) => void this.logs.push(new TextDecoder().decode(data)),
        warn: () => {},
      },
      ...more,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispatcher[Symbol.dispose]();
    await this.#owned.disposeAsync();
  }
}

export class FakeAgent {
  readonly id: string;
  readonly accepted: Task[] = [];
  readonly cancelled: string[] = [];
  readonly #bus: MemoryMessageBus;
  readonly #run: FakeRun;
  readonly #more: Partial<AgentRecord>;
  #epoch: string = randomUUID();
  refuse = false;
  /** Takes tasks without saying so, as if its answers were lost. */
  mute = false;
  /** What its heartbeats tell. */
  running: readonly string[] = [];

  constructor(bus: MemoryMessageBus, id: string, run: FakeRun, more: Partial<AgentRecord>) {
    this.id = id;
    this.#bus = bus;
    this.#run = run;
    this.#more = more;
    bus.subscribe(subjects.agentTasks(id), (message) => {
      const task = decode<Task>(message.data);
      if (this.refuse) return message.respond(encode({ accepted: false, reason: "busy" }));
      this.accepted.push(task);
      if (!this.mute) message.respond(encode({ accepted: true }));
      return void this.#finish(task);
    });
    bus.subscribe(subjects.agentCancel(id), (message) => {
      this.cancelled.push(decode<{ taskId: string }>(message.data).taskId);
    });
  }

  leave(): void {
    this.beat({ leaving: true });
  }

  beat(last: Partial<AgentRecord> = {}): void {
    const record: AgentRecord = {
      id: this.id,
      epoch: this.#epoch,
      gcPolicy: [],
      labels: {},
      platforms: [hostPlatform()],
      capacity: { slots: 1, cpu: 4, memoryBytes: 8e9 },
      occupied: {},
      blobUrl: `http://${this.id}`,
      draining: false,
      running: this.running,
      version: "test",
      ...this.#more,
      ...last,
    };
    this.#bus.publish(subjects.agentHeartbeat(this.id), encode(record));
  }

  /** As if the process had been killed and started again. */
  async restart(): Promise<void> {
    this.#epoch = randomUUID();
    this.beat();
    await this.#bus.flush();
  }

  async #finish(task: Task): Promise<void> {
    const envelope = { leaseId: task.leaseId, seq: 0, fetched: [] };
    let outcome: object;
    try {
      outcome = { type: "result", result: await this.#run(task), ...envelope };
    } catch (error) {
      const state = error instanceof StepFailedError ? { state: error.state } : {};
      outcome = { type: "error", error: BuildError.from(error).toWire(), ...state, ...envelope };
    }
    await this.#bus.request(subjects.taskOutcome(task.id), encode(outcome), { timeoutMs: 1000 }).catch(() => {});
  }
}

export function layerInfo(id: string, more: Partial<LayerInfo> = {}): LayerInfo {
  return { id: id as LayerId, blobs: [], origins: [], holders: [], sizeBytes: 1, createdAt: 1, ...more };
}
