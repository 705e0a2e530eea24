import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryMessageBus, subjects } from "../../../src/bus/index.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { OpRunners, RunContext } from "../../../src/core/seams/op-runner.ts";
import type { TaskOfferReply, TaskOutcome } from "../../../src/core/values/agent.ts";
import type { Task } from "../../../src/core/values/task.ts";
import { decode, encode } from "../../../src/util/msgpack.ts";
import type { LayerManager } from "../../../src/worker-agent/layers/layer-manager.ts";
import { TaskServer, type TaskServerOptions } from "../../../src/worker-agent/task-server.ts";
import { noSessions } from "../../helpers/no-sessions.ts";
import { taskOf } from "../../helpers/task.ts";

const task = taskOf("read", { op: "stat", ref: { layers: [] }, path: "/" });

function start(
  bus: MemoryMessageBus,
  run: (signal: AbortSignal) => Promise<object>,
  more: Partial<TaskServerOptions> = {},
): TaskServer {
  const read = { kind: "read", run: (_task: unknown, context: RunContext) => run(context.signal) };
  return new TaskServer({
    agentId: "a",
    root: "/root",
    bus,
    clock: { now: () => 0, sleep: () => new Promise(setImmediate) },
    logger: silentLogger,
    layers: {} as LayerManager,
    runners: { read } as unknown as OpRunners,
    capacity: { slots: 1, cpu: 1, memoryBytes: 1e9 },
    onRoom: () => {},
    sessions: () => noSessions,
    tracer: { run: (_task, work) => work() },
    ...more,
  });
}

async function offer(bus: MemoryMessageBus): Promise<void> {
  await bus.request(subjects.agentTasks("a"), encode(task), { timeoutMs: 1000 });
}

async function outcomeOf(bus: MemoryMessageBus): Promise<TaskOutcome> {
  const heard = Promise.withResolvers<TaskOutcome>();
  using _subscription = bus.subscribe(subjects.taskOutcome(task.id), (message) => {
    message.respond(new Uint8Array());
    heard.resolve(decode<TaskOutcome>(message.data));
  });
  return await heard.promise;
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<object>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("TaskServer", () => {
  it("tells the outcome to a coordinator that was cut off for a while", async () => {
    await using bus = new MemoryMessageBus();
    await using _server = start(bus, async () => ({ data: new Uint8Array() }));
    await offer(bus);
    for (let i = 0; i < 10; i++) await bus.flush();
    assert.equal((await outcomeOf(bus)).type, "result");
  });

  it("fails a task whose sessions cannot be reached", async () => {
    await using bus = new MemoryMessageBus();
    const sessions = () => {
      throw new Error("bad address");
    };
    await using _server = start(bus, untilAborted, { sessions });
    const outcome = outcomeOf(bus);
    await offer(bus);
    const { type, error } = (await outcome) as Extract<TaskOutcome, { type: "error" }>;
    assert.equal(type, "error");
    assert.equal(error.message, "bad address");
  });

  it("runs no more limited tasks at the same time than it may, and any number of others", async () => {
    await using bus = new MemoryMessageBus();
    const running: string[] = [];
    const gates = new Map<string, PromiseWithResolvers<object>>();
    const run = async ({ id }: Task, { signal }: RunContext) => {
      const gate = Promise.withResolvers<object>();
      signal.addEventListener("abort", () => gate.reject(signal.reason));
      gates.set(id, gate);
      running.push(id);
      return gate.promise.finally(() => running.splice(running.indexOf(id), 1));
    };
    const runners = Object.fromEntries(["read", "file", "source.fetch"].map((kind) => [kind, { kind, run }]));
    await using _server = start(bus, untilAborted, { maxParallelism: 1, runners: runners as unknown as OpRunners });
    const take = async (id: string, kind: string) => {
      using _outcome = bus.subscribe(subjects.taskOutcome(id), (message) => message.respond(new Uint8Array()));
      const offered = encode({ ...task, id, kind });
      const reply = decode<TaskOfferReply>(await bus.request(subjects.agentTasks("a"), offered, { timeoutMs: 1000 }));
      assert.ok(reply.accepted);
      await new Promise(setImmediate);
    };
    await take("file", "file");
    await take("source", "source.fetch");
    await take("read", "read");
    assert.deepEqual(running, ["file", "read"]);
    bus.publish(subjects.agentCancel("a"), encode({ taskId: "source", leaseId: task.leaseId }));
    await take("second", "file");
    assert.deepEqual(running, ["file", "read"]);
    gates.get("file")?.resolve({});
    await new Promise(setImmediate);
    assert.deepEqual(running, ["read", "second"]);
    gates.get("second")?.resolve({});
    gates.get("read")?.resolve({});
  });

  it("ends the tasks of a coordinator once ten heartbeats long none of its own was heard", async () => {
    await using bus = new MemoryMessageBus();
    await using server = start(bus, untilAborted);
    const outcome = outcomeOf(bus);
    await offer(bus);
    const beats = (count: number) => {
      for (let i = 0; i < count; i++) server.checkCoordinators();
    };
    beats(10);
    bus.publish(subjects.coordinatorHeartbeat("c1"), encode({ id: "c1" }));
    await bus.flush();
    beats(10);
    await bus.flush();
    assert.deepEqual(server.running, [task.id]);
    beats(1);
    const { error } = (await outcome) as Extract<TaskOutcome, { type: "error" }>;
    assert.equal(error.message, "coordinator c1 is gone");
  });
});
