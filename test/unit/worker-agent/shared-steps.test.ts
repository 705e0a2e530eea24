import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { MemoryMessageBus, subjects } from "../../../src/bus/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { OpRunners, RunContext } from "../../../src/core/seams/op-runner.ts";
import type { TaskEvent, TaskOfferReply, TaskOutcome } from "../../../src/core/values/agent.ts";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import type { Task } from "../../../src/core/values/task.ts";
import { decode, encode } from "../../../src/util/msgpack.ts";
import type { LayerManager } from "../../../src/worker-agent/layers/layer-manager.ts";
import { TaskServer } from "../../../src/worker-agent/task-server.ts";
import { noSessions } from "../../helpers/no-sessions.ts";
import { taskOf } from "../../helpers/task.ts";

const made = { outputs: [], layers: [{ id: "made" }] };
/** Heartbeats after which a coordinator counts as gone, and those for which a step goes on without one. */
const silentBeats = 10;
const orphanedBeats = 450;

/** An agent with one slot, whose runs end as the test says. */
async function start(t: TestContext) {
  const bus = new MemoryMessageBus();
  const runs: (PromiseWithResolvers<object> & { readonly context: RunContext })[] = [];
  const present = new Set(["made"]);
  const run = (_task: Task, context: RunContext) => {
    const settle = Promise.withResolvers<object>();
    context.signal.addEventListener("abort", () => settle.reject(context.signal.reason));
    runs.push({ ...settle, context });
    return settle.promise;
  };
  const server = new TaskServer({
    agentId: "a",
    root: "/root",
    bus,
    clock: { now: () => 0, sleep: () => new Promise(setImmediate) },
    logger: silentLogger,
    layers: { snapshotter: { has: (id: string) => present.has(id) } } as unknown as LayerManager,
    runners: { file: { kind: "file", run } } as unknown as OpRunners,
    capacity: { slots: 1, cpu: 1, memoryBytes: 1e9 },
    onRoom: () => {},
    sessions: () => noSessions,
    tracer: { run: (_task, work) => work() },
  });
  t.after(async () => {
    await server[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
  });
  const offered: Task = {
    ...(taskOf("file", {
      op: new Uint8Array(),
      inputs: [],
      platform: hostPlatform(),
      description: "",
    }) as Task),
    demand: { slots: 1, cpu: 0, memoryBytes: 0 },
  };

  /** Offers a step for a coordinator that hears of it until it is gone. */
  const want = async (id: string, step = "step", joins = false) => {
    const task: Task = {
      ...offered,
      id,
      leaseId: `lease-${id}`,
      step,
      joins,
      coordinator: { ...offered.coordinator, id },
    };
    const outcome = Promise.withResolvers<TaskOutcome>();
    const logs: string[] = [];
    const ends = [
      bus.subscribe(subjects.taskOutcome(id), (message) => {
        message.respond(new Uint8Array());
        outcome.resolve(decode<TaskOutcome>(message.data));
      }),
      bus.subscribe(subjects.taskEvents(id), ({ data }) => {
        const event = decode<TaskEvent>(data);
        assert.equal(event.leaseId, task.leaseId);
        if (event.type === "warning") logs.push(event.warning.short);
      }),
    ];
    const reply = await bus.request(subjects.agentTasks("a"), encode(task), { timeoutMs: 1000 });
    await new Promise(setImmediate);
    return {
      accepted: decode<TaskOfferReply>(reply).accepted,
      outcome: outcome.promise,
      logs,
      die: () => {
        for (const subscription of ends) subscription[Symbol.dispose]();
      },
      cancel: async () => {
        bus.publish(subjects.agentCancel("a"), encode({ taskId: id, leaseId: task.leaseId }));
        await bus.flush();
      },
    };
  };
  const beats = (count: number) => {
    for (let i = 0; i < count; i++) server.checkCoordinators();
  };
  /** All attempts to tell outcomes have been made. */
  const told = async () => {
    while (server.running.length > 0) await new Promise(setImmediate);
  };
  return { server, runs, present, want, beats, told };
}

describe("a step that several coordinators want", () => {
  it("is not begun by who only wants to share it", async (t) => {
    const { runs, want, told } = await start(t);
    assert.equal((await want("c1", "step", true)).accepted, false);
    await want("c2");
    assert.equal((await want("c3", "step", true)).accepted, true);
    runs[0]?.resolve(made);
    await told();
    assert.equal((await want("c4", "step", true)).accepted, false, "it was told");
    assert.equal(runs.length, 1);
  });

  it("runs once, in one slot; each hears what happens from when it came, and the result", async (t) => {
    const { server, runs, want, told } = await start(t);
    const warning = (short: string) => ({ level: 1, short, detail: [], url: "" });
    const one = await want("c1");
    runs[0]?.context.progress.warn(warning("early"));
    const two = await want("c2");
    assert.equal((await want("c3", "another")).accepted, false);
    assert.deepEqual([one.accepted, two.accepted, runs.length], [true, true, 1]);
    assert.deepEqual([server.running, server.steps, Object.keys(server.occupied)], [["c1", "c2"], ["step"], ["c1"]]);
    runs[0]?.context.progress.warn(warning("late"));
    runs[0]?.resolve(made);
    const outcomes = await Promise.all([one.outcome, two.outcome]);
    assert.deepEqual(
      outcomes.map((outcome) => outcome.type === "result" && outcome.result),
      [made, made],
    );
    assert.deepEqual([one.logs, two.logs], [["early", "late"], ["late"]]);
    await told();
    assert.deepEqual([server.running, server.steps], [[], []]);
  });

  it("ends when the last of them wants it no more", async (t) => {
    const { runs, want } = await start(t);
    const one = await want("c1");
    const two = await want("c2");
    await one.cancel();
    assert.equal(runs[0]?.context.signal.aborted, false);
    await two.cancel();
    assert.equal(runs[0]?.context.signal.aborted, true);
  });

  it("fails only for the one it was begun for: others try for themselves", async (t) => {
    const { runs, want } = await start(t);
    const one = await want("c1");
    const two = await want("c2");
    runs[0]?.reject(new BuildError(Code.Unknown, "exit code: 1"));
    const errors = (await Promise.all([one.outcome, two.outcome])).map((outcome) => {
      assert.ok(outcome.type === "error");
      return BuildError.fromWire(outcome.error);
    });
    assert.deepEqual(
      errors.map(({ message, infrastructure }) => [message, infrastructure]),
      [
        ["exit code: 1", false],
        ["the step failed for another coordinator, which had begun it", true],
      ],
    );
  });
});

describe("a step whose coordinator is gone", () => {
  it("goes on, and is shared with the next one who wants it", async (t) => {
    const { runs, want, beats } = await start(t);
    (await want("c1")).die();
    beats(silentBeats + 100);
    const two = await want("c2");
    runs[0]?.resolve(made);
    assert.equal((await two.outcome).type, "result");
    assert.equal(runs.length, 1);
  });

  it("keeps its result for the next one, without a slot", async (t) => {
    const { server, runs, want, beats, told } = await start(t);
    (await want("c1")).die();
    runs[0]?.resolve(made);
    await told();
    beats(100);
    assert.deepEqual([server.occupied, server.inHand.count, server.steps], [{}, 0, ["step"]]);
    assert.equal((await (await want("c2")).outcome).type, "result");
    assert.deepEqual(server.steps, []);
    await want("c3");
    assert.equal(runs.length, 2);
  });

  it("runs again when its layers were removed meanwhile", async (t) => {
    const { runs, present, want, told } = await start(t);
    (await want("c1")).die();
    runs[0]?.resolve(made);
    await told();
    present.clear();
    await want("c2");
    assert.equal(runs.length, 2);
  });

  it("keeps no failure", async (t) => {
    const { server, runs, want, told } = await start(t);
    (await want("c1")).die();
    runs[0]?.reject(new BuildError(Code.Unknown, "exit code: 1"));
    await new Promise(setImmediate);
    assert.deepEqual(server.steps, []);
    await told();
    await want("c2");
    assert.equal(runs.length, 2);
  });

  it("is ended when its agent is to leave", async (t) => {
    const { server, runs, want, beats } = await start(t);
    (await want("c1")).die();
    beats(silentBeats + 1);
    const drained = server.drain();
    assert.equal(runs[0]?.context.signal.aborted, true);
    await drained;
  });

  it("is ended, or forgotten, after a quarter of an hour", async (t) => {
    const { server, runs, want, beats, told } = await start(t);
    (await want("c1")).die();
    beats(silentBeats + orphanedBeats);
    assert.equal(runs[0]?.context.signal.aborted, false);
    beats(1);
    assert.equal(runs[0]?.context.signal.aborted, true);
    await told();
    (await want("c2")).die();
    runs[1]?.resolve(made);
    await told();
    beats(orphanedBeats);
    assert.deepEqual(server.steps, ["step"]);
    beats(1);
    assert.deepEqual(server.steps, []);
  });
});
