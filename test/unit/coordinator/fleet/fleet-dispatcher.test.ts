import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SourceOp } from "../../../../src/api/gen/ops.ts";
import { MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { StepFailedError } from "../../../../src/core/errors/step-failed-error.ts";
import type { ProgressStatus } from "../../../../src/core/seams/progress.ts";
import type { CacheMountsForgotten, CacheSharing } from "../../../../src/core/values/cache-mount.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { BlobOrigin, LayerId } from "../../../../src/core/values/layer.ts";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import type { Task } from "../../../../src/core/values/task.ts";
import { decode, encode } from "../../../../src/util/msgpack.ts";
import { FakeFleet, layerInfo } from "../../../helpers/fake-fleet.ts";
import { FakeSession, FakeSessionGroup } from "../../../helpers/fake-session.ts";

const execBody = {
  op: new Uint8Array(),
  inputs: [],
  platform: parsePlatform("linux/amd64"),
  entitlements: [],
  cacheMounts: [],
  description: "",
};
const ref = (...ids: string[]) => ({ layers: ids as LayerId[] });
const read = (...ids: string[]) => ({ op: "stat" as const, ref: ref(...ids), path: "/" });
const inRegistry: BlobOrigin = {
  ...{ kind: "registry", repository: "r/i" },
  descriptor: { mediaType: "m", digest: sha256("blob"), size: 1 },
};
const never = () => new Promise<object>(() => {});
const answer = async () => ({ data: new Uint8Array([1]) });
const done = async () => ({ outputs: [], layers: [], usage: {} });

describe("FleetDispatcher", () => {
  it("gives a step to an agent with a free slot, and waiting steps to whoever is free next", async () => {
    await using fleet = await FakeFleet.start();
    const gate = Promise.withResolvers<void>();
    const run = async () => {
      await gate.promise;
      return { outputs: [], layers: [], usage: {} };
    };
    const a = await fleet.agent("a", run);
    const b = await fleet.agent("b", run);
    const runs = [1, 2, 3].map(() => fleet.dispatcher.run("exec", execBody, fleet.context()));
    await new Promise(setImmediate);
    assert.equal(a.accepted.length, 1);
    assert.equal(b.accepted.length, 1);
    gate.resolve();
    await Promise.all(runs);
    assert.equal(a.accepted.length + b.accepted.length, 3);
  });

  it("lets an agent that joins later take what waits", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", never);
    void fleet.dispatcher.run("exec", execBody, fleet.context()).catch(() => {});
    await new Promise(setImmediate);
    const second = fleet.dispatcher.run("exec", execBody, fleet.context());
    const b = await fleet.agent("b", async () => ({ outputs: [], layers: [], usage: {} }));
    await second;
    assert.equal(b.accepted.length, 1);
  });

  it("prefers agents whose own platform it is to those that emulate it", async () => {
    await using fleet = await FakeFleet.start();
    const [amd64, arm64] = [parsePlatform("linux/amd64"), parsePlatform("linux/arm64")];
    const answer = async () => ({ outputs: [], layers: [], usage: {} });
    const emulating = await fleet.agent("a", answer, { platforms: [amd64, arm64] });
    const context = fleet.context({ platform: arm64 });
    await fleet.dispatcher.run("exec", execBody, context);
    assert.equal(emulating.accepted.length, 1);
    const native = await fleet.agent("b", answer, { platforms: [arm64, amd64] });
    for (let i = 0; i < 3; i++) await fleet.dispatcher.run("exec", execBody, context);
    assert.equal(native.accepted.length, 3);
  });

  it("places steps where their devices are, also those that have come since", async () => {
    await using fleet = await FakeFleet.start();
    const devices = [{ name: "v.com/d=x", autoAllow: false, annotations: {} }];
    const context = fleet.context({ devices: ["v.com/d=x"] });
    await fleet.agent("a", never, { devices });
    const late = await fleet.agent("b", async () => ({ outputs: [], layers: [], usage: {} }));
    void fleet.dispatcher.run("exec", execBody, context).catch(() => {});
    const waiting = fleet.dispatcher.run("exec", execBody, context);
    await new Promise(setImmediate);
    assert.equal(late.accepted.length, 0);
    late.beat({ devices });
    await waiting;
    assert.equal(late.accepted.length, 1);
    await assert.rejects(
      fleet.dispatcher.run("exec", execBody, fleet.context({ devices: ["v.com/d=y"] })),
      /no agent offers device "v\.com\/d=y"/,
    );
  });

  it("lets tasks that ask for something else pass a long line", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", never);
    await fleet.agent("b", async () => ({ outputs: [], layers: [], usage: {} }), { labels: { kind: "b" } });
    const abort = new AbortController();
    const constraints = ["id==a"];
    const waiting = Array.from({ length: 40 }, () =>
      assert.rejects(fleet.dispatcher.run("exec", execBody, fleet.context({ constraints, signal: abort.signal }))),
    );
    await fleet.dispatcher.run("exec", execBody, fleet.context({ constraints: ["labels.kind==b"] }));
    abort.abort(new Error("enough"));
    await Promise.all(waiting);
  });

  it("runs all of a long line", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", async () => ({ outputs: [], layers: [], usage: {} }));
    await Promise.all(Array.from({ length: 60 }, () => fleet.dispatcher.run("exec", execBody, fleet.context())));
    assert.equal(a.accepted.length, 60);
  });

  it("goes where the input layers are", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", answer);
    const b = await fleet.agent("b", answer);
    await fleet.catalog.record([layerInfo("l", { holders: ["b"], sizeBytes: 1e9 })]);
    await fleet.dispatcher.run("read", read("l"), fleet.context());
    assert.equal(a.accepted.length, 0);
    assert.equal(b.accepted.length, 1);
    assert.deepEqual(b.accepted[0]?.peers, { b: "http://b" });
  });

  it("goes by the links that agents have measured", async () => {
    await using fleet = await FakeFleet.start();
    const link = (bytesPerSecond: number) => ({ receivedBytes: 1, sentBytes: 0, originBytes: 0, bytesPerSecond });
    const slow = await fleet.agent("a", answer, { transfers: link(1e6) });
    const fast = await fleet.agent("b", answer, { transfers: link(1e9) });
    const unknown = await fleet.agent("c", answer);
    await fleet.catalog.record([layerInfo("l", { holders: [], origins: [inRegistry], sizeBytes: 2e9 })]);
    await fleet.dispatcher.run("read", read("l"), fleet.context());
    assert.deepEqual(
      [slow, fast, unknown].map((agent) => agent.accepted.length),
      [0, 1, 0],
    );
  });

  it("stays with the agent that served an affinity key", async () => {
    await using fleet = await FakeFleet.start();
    const agents = [await fleet.agent("a", answer), await fleet.agent("b", answer)];
    await fleet.catalog.record([layerInfo("l", { holders: ["b"] })]);
    await fleet.dispatcher.run("read", read("l"), fleet.context({ affinity: "k" }));
    for (let i = 0; i < 3; i++) await fleet.dispatcher.run("read", read(), fleet.context({ affinity: "k" }));
    assert.deepEqual(
      agents.map((agent) => agent.accepted.length),
      [0, 4],
    );
  });

  it("waits a little for the slot of an agent that has large inputs", async () => {
    await using fleet = await FakeFleet.start();
    const gate = Promise.withResolvers<void>();
    const result = { outputs: [], layers: [], usage: {} };
    const a = await fleet.agent("a", async () => {
      await gate.promise;
      return result;
    });
    await fleet.catalog.record([layerInfo("l", { holders: ["a"], sizeBytes: 20e9 })]);
    const body = { ...execBody, inputs: [ref("l")] };
    const first = fleet.dispatcher.run("exec", body, fleet.context());
    await new Promise(setImmediate);
    const b = await fleet.agent("b", async () => result);
    const second = fleet.dispatcher.run("exec", body, fleet.context());
    await new Promise(setImmediate);
    gate.resolve();
    await Promise.all([first, second]);
    assert.deepEqual([a.accepted.length, b.accepted.length], [2, 0]);
  });

  it("runs a step that was killed for memory once more where there is more, and remembers what it needs", async () => {
    await using fleet = await FakeFleet.start();
    const failure = new BuildError(Code.Unknown, "cannot allocate memory");
    const state = { results: [], layers: [], outOfMemory: { peakMemoryBytes: 5e9 } };
    const kill = async () => Promise.reject(new StepFailedError(failure, state));
    const memory = (memoryBytes: number) => ({ capacity: { slots: 1, cpu: 4, memoryBytes } });
    const small = await fleet.agent("a", kill, memory(6e9));
    const run = (historyKey: string) => {
      const body = { ...execBody, inputs: [ref("l")] };
      return fleet.dispatcher.run("exec", body, fleet.context({ work: { rank: 0, historyKey } }));
    };
    await fleet.catalog.record([layerInfo("l", { holders: ["a"], sizeBytes: 1e9 })]);
    await assert.rejects(run("alone"), /cannot allocate memory/);
    assert.equal(small.accepted.length, 1, "nobody has more");
    const usage = { exitCode: 0, cpuNanos: 1, peakMemoryBytes: 9e9, wallMs: 1 };
    const large = await fleet.agent("b", async () => ({ outputs: [], layers: [], usage }), memory(64e9));
    await run("step");
    assert.deepEqual([small.accepted.length, large.accepted.length], [2, 1]);
    await run("step");
    assert.deepEqual([small.accepted.length, large.accepted.length], [2, 2], "goes there at once");
    assert.match(fleet.logs.join(""), /killed for want of memory with 5000 MB in use; trying once more/);
  });

  it("remembers what steps took", async () => {
    await using fleet = await FakeFleet.start();
    const usage = { exitCode: 0, cpuNanos: 60e9, peakMemoryBytes: 1e9, wallMs: 30_000 };
    await fleet.agent("a", async () => ({ outputs: [], layers: [], usage }));
    await fleet.dispatcher.run("exec", execBody, fleet.context({ work: { rank: 0, historyKey: "step" } }));
    assert.equal(fleet.history.estimate("step").expectedSeconds, 30);
    assert.equal(fleet.history.estimate("step").demand.cpu, 2);
  });

  it("runs a task elsewhere when its agent restarts, and drops the late result of the first", async () => {
    await using fleet = await FakeFleet.start();
    const late = Promise.withResolvers<object>();
    const a = await fleet.agent("a", () => late.promise);
    const running = fleet.dispatcher.run("read", read(), fleet.context());
    await new Promise(setImmediate);
    assert.equal(a.accepted.length, 1);
    await fleet.agent("b", async () => ({ data: new Uint8Array([2]) }));
    await a.restart();
    late.resolve({ data: new Uint8Array([9]) });
    assert.deepEqual([...(await running).data], [2]);
    assert.match(fleet.logs.join(""), /agent a was lost: restarted; trying again/);
  });

  it("tries infrastructure faults elsewhere, and again on the only agent there is", async () => {
    await using fleet = await FakeFleet.start();
    let count = 0;
    await fleet.agent("a", async () => {
      if (++count < 3) throw new BuildError(Code.Unavailable, "disk trouble", { infrastructure: true });
      return { data: new Uint8Array() };
    });
    await fleet.dispatcher.run("read", read(), fleet.context());
    assert.equal(count, 3);
  });

  it("gives up after five attempts", async () => {
    await using fleet = await FakeFleet.start();
    let count = 0;
    await fleet.agent("a", async () => {
      count++;
      throw new BuildError(Code.Unavailable, "disk trouble", { infrastructure: true });
    });
    await assert.rejects(fleet.dispatcher.run("read", read(), fleet.context()), /disk trouble/);
    assert.equal(count, 5);
  });

  it("never tries a step's own failure again, and keeps its code and details", async () => {
    await using fleet = await FakeFleet.start();
    let count = 0;
    const details = [{ typeUrl: "t", value: new Uint8Array([1]) }];
    await fleet.agent("a", async () => {
      count++;
      throw new BuildError(Code.Unknown, "exit code: 1", { details });
    });
    await assert.rejects(fleet.dispatcher.run("exec", execBody, fleet.context()), (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, Code.Unknown);
      assert.equal(error.details[0]?.typeUrl, "t");
      return true;
    });
    assert.equal(count, 1);
  });

  it("sends to the client again only when nothing was sent", async () => {
    await using fleet = await FakeFleet.start();
    const body = { sessionId: "s", exporterId: 0, metadata: {}, entries: [] };
    let count = 0;
    const a = await fleet.agent("a", async () => {
      if (++count === 1) throw new BuildError(Code.Unavailable, "holder left", { infrastructure: true });
      if (count === 2) return { bytes: 1 };
      return never();
    });
    await fleet.dispatcher.run("export.archive", body, fleet.context());
    assert.equal(count, 2);
    const cut = assert.rejects(
      fleet.dispatcher.run("export.archive", body, fleet.context()),
      /agent a was lost: restarted/,
    );
    await new Promise(setImmediate);
    await a.restart();
    await cut;
  });

  it("runs a task elsewhere when its agent says good-bye", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    const running = fleet.dispatcher.run("read", read(), fleet.context());
    await new Promise(setImmediate);
    await fleet.agent("b", answer);
    a.leave();
    await running;
    assert.equal(fleet.registry.get("a"), undefined);
  });

  it("cancels at the agent when the caller aborts", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    const abort = new AbortController();
    const running = fleet.dispatcher.run("exec", execBody, fleet.context({ signal: abort.signal }));
    await new Promise(setImmediate);
    abort.abort(new Error("client left"));
    await assert.rejects(running, /client left/);
    await fleet.bus.flush();
    assert.deepEqual(
      a.cancelled,
      a.accepted.map((task) => task.id),
    );
  });

  it("says at once that no agent has the platform", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", answer);
    await assert.rejects(
      fleet.dispatcher.run("exec", execBody, fleet.context({ platform: parsePlatform("windows/amd64") })),
      (error) =>
        error instanceof BuildError && error.code === Code.FailedPrecondition && /windows\/amd64/.test(error.message),
    );
  });

  it("puts a large answer together from its chunks", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", async (task) => {
      for (let seq = 0; seq < 2; seq++) {
        const event = { type: "chunk", data: new Uint8Array([seq + 1]), leaseId: task.leaseId, seq };
        fleet.bus.publish(subjects.taskEvents(task.id), encode(event));
      }
      const outcome = {
        type: "result",
        result: { data: new Uint8Array() },
        leaseId: task.leaseId,
        seq: 2,
        fetched: [],
      };
      await fleet.bus.request(subjects.taskOutcome(task.id), encode(outcome), { timeoutMs: 1000 });
      return {};
    });
    assert.deepEqual([...(await fleet.dispatcher.run("read", read(), fleet.context())).data], [1, 2]);
  });
});

describe("steps that an agent does for another coordinator", () => {
  const shared = (fleet: FakeFleet) => fleet.context({ shared: true });

  it("are named alike by all, and shared by a full agent", async () => {
    await using fleet = await FakeFleet.start();
    const other = await FakeFleet.start(fleet.bus, fleet.buckets, "other");
    const settled = Promise.withResolvers<object>();
    const a = await fleet.agent("a", () => settled.promise);
    const first = fleet.dispatcher.run("exec", execBody, shared(fleet));
    await fleet.bus.flush();
    const [begun] = a.accepted;
    assert.ok(begun?.step !== undefined);
    const busy = { running: [begun.id], occupied: { c: begun.demand }, steps: [begun.step] };
    a.beat(busy);
    await fleet.agent("b", done);
    const second = other.dispatcher.run("exec", execBody, shared(other));
    const different = other.dispatcher.run("exec", { ...execBody, description: "different" }, shared(other));
    await different;
    assert.deepEqual(
      a.accepted.map(({ step }) => step),
      [begun.step, begun.step],
    );
    settled.resolve(await done());
    await Promise.all([first, second]);
    assert.match(other.logs.join(""), /agent a has begun this step for another build/);
    await other[Symbol.asyncDispose]();
  });

  it("are tried elsewhere when they fail there", async () => {
    await using fleet = await FakeFleet.start();
    const step = (await stepOf(fleet)) ?? "";
    const failing = new BuildError(Code.Unavailable, "failed for another", { infrastructure: true });
    const a = await fleet.agent("a", () => Promise.reject(failing), { steps: [step] });
    const b = await fleet.agent("b", done);
    await fleet.dispatcher.run("exec", execBody, shared(fleet));
    assert.deepEqual([a.accepted.length, b.accepted.length], [1, 1]);
  });

  it("have no name when they are to run anew", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", done);
    await fleet.dispatcher.run("exec", execBody, fleet.context());
    assert.equal(a.accepted[0]?.step, undefined);
  });

  async function stepOf(fleet: FakeFleet): Promise<string | undefined> {
    const agent = await fleet.agent("first", done);
    await fleet.dispatcher.run("exec", execBody, shared(fleet));
    agent.leave();
    return agent.accepted[0]?.step;
  }
});

describe("cache mounts of tasks", () => {
  const result = { outputs: [], layers: [], usage: {}, cacheMounts: [] };
  const version = { key: "m", epoch: "", entryId: "e", version: "v", sizeBytes: 1e9, cold: false };
  const step = (sharing: CacheSharing = "shared") => ({
    ...execBody,
    cacheMounts: [{ id: "m", key: "m", nested: false, sharing }],
  });

  it("are where a step left them; another agent is told by whom to get them", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", async () => ({ ...result, cacheMounts: [version] }));
    await fleet.dispatcher.run("exec", step(), fleet.context());
    const b = await fleet.agent("b", async () => result);
    await fleet.dispatcher.run("exec", step(), fleet.context());
    assert.deepEqual([a.accepted.length, b.accepted.length], [2, 0]);
    a.refuse = true;
    await fleet.dispatcher.run("exec", step(), fleet.context());
    const { key: _, epoch: __, cold: ___, ...holder } = version;
    assert.deepEqual(b.accepted[0]?.cacheMounts, [{ key: "m", epoch: "", holders: [{ agentId: "a", ...holder }] }]);
    assert.equal(b.accepted[0]?.peers["a"], "http://a");
    a.leave();
    await fleet.dispatcher.run("exec", step(), fleet.context());
    assert.deepEqual(b.accepted[1]?.cacheMounts[0]?.holders, []);
  });

  it("are worth a short wait for a slot", async () => {
    await using fleet = await FakeFleet.start();
    const gate = Promise.withResolvers<void>();
    const a = await fleet.agent("a", async () => {
      if (a.accepted.length > 1) await gate.promise;
      return { ...result, cacheMounts: [{ ...version, sizeBytes: 20e9 }] };
    });
    await fleet.dispatcher.run("exec", step(), fleet.context());
    const first = fleet.dispatcher.run("exec", step(), fleet.context());
    await new Promise(setImmediate);
    const b = await fleet.agent("b", async () => result);
    const second = fleet.dispatcher.run("exec", step(), fleet.context());
    await new Promise(setImmediate);
    gate.resolve();
    await Promise.all([first, second]);
    assert.deepEqual([a.accepted.length, b.accepted.length], [3, 0]);
  });

  it("take no slot while they wait for a lock, show it, and can be given up", async () => {
    await using fleet = await FakeFleet.start();
    const gate = Promise.withResolvers<void>();
    const a = await fleet.agent(
      "a",
      async () => {
        await gate.promise;
        return result;
      },
      { capacity: { slots: 4, cpu: 4, memoryBytes: 8e9 } },
    );
    const first = fleet.dispatcher.run("exec", step("locked"), fleet.context());
    await new Promise(setImmediate);
    const lines: string[] = [];
    const progress = {
      ...fleet.context().progress,
      status: ({ id, completedAt }: ProgressStatus) =>
        void lines.push(`${completedAt === undefined ? "begin" : "end"} ${id}`),
    };
    const abort = new AbortController();
    const given = fleet.dispatcher.run("exec", step("locked"), fleet.context({ signal: abort.signal }));
    const second = fleet.dispatcher.run("exec", step("locked"), fleet.context({ progress }));
    await new Promise(setImmediate);
    abort.abort(new Error("enough"));
    await assert.rejects(given, { message: "enough" });
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.equal(a.accepted.length, 1);
    assert.match(lines.join(), /^begin waiting for locked cache mount m$/);
    gate.resolve();
    await Promise.all([first, second]);
    assert.match(lines.at(-1) ?? "", /^end waiting/);
    assert.equal(a.accepted.length, 2);
  });

  it("stay locked until a cancelled step has ended", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never, { capacity: { slots: 2, cpu: 4, memoryBytes: 8e9 } });
    const abort = new AbortController();
    const first = fleet.dispatcher.run("exec", step("locked"), fleet.context({ signal: abort.signal }));
    await new Promise(setImmediate);
    a.running = a.accepted.map(({ id }) => id);
    abort.abort(new Error("enough"));
    await assert.rejects(first, { message: "enough" });
    const waiting = new AbortController();
    const second = fleet.dispatcher.run("exec", step("locked"), fleet.context({ signal: waiting.signal }));
    a.beat();
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.equal(a.accepted.length, 1);
    a.running = [];
    a.beat();
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.equal(a.accepted.length, 2);
    waiting.abort(new Error("enough"));
    await assert.rejects(second);
  });

  it("start anew once in a build that ignores its cache", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", async (task) => ({
      ...result,
      cacheMounts: [{ ...version, epoch: task.cacheMounts[0]?.epoch ?? "" }],
    }));
    const [use] = step().cacheMounts;
    assert.ok(use !== undefined);
    const forgotten: CacheMountsForgotten[] = [];
    fleet.bus.subscribe(subjects.cacheMountsForgotten, ({ data }) => void forgotten.push(decode(data)));
    const holders = () => fleet.cacheMounts.infos([use])[0]?.holders.length;
    const sessions = new FakeSessionGroup(new FakeSession("build", {}));
    await fleet.dispatcher.run("exec", step(), fleet.context());
    assert.equal(holders(), 1);
    await fleet.cacheMounts.forget([use], ["build"]);
    assert.equal(holders(), 0);
    await fleet.dispatcher.run("exec", step(), fleet.context({ sessions }));
    await fleet.cacheMounts.forget([use], ["build"]);
    assert.equal(holders(), 1);
    assert.deepEqual(forgotten, [{ id: "m", nested: false, sessionIds: ["build"] }]);
  });

  it("are forgotten where an agent has them no more", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", async () => ({ ...result, cacheMounts: [version] }));
    await fleet.dispatcher.run("exec", step(), fleet.context());
    fleet.bus.publish(subjects.cacheMountsDropped, encode({ agentId: "a", entryIds: ["e"] }));
    await fleet.bus.flush();
    assert.deepEqual(fleet.cacheMounts.infos(step().cacheMounts)[0]?.holders, []);
  });
});

describe("lost layers", () => {
  const file = (...inputs: string[]) => ({
    op: new Uint8Array(),
    inputs: [ref(...inputs)],
    platform: parsePlatform("linux/amd64"),
    description: "",
  });

  /** Agents make layers `l0`, `l1`, … and read what they are asked to. */
  function maker() {
    const made: string[] = [];
    const seen: string[][] = [];
    const on = (agentId: string) => async (task: Task) => {
      if (task.kind !== "file") {
        seen.push(task.layers.map(({ id }) => id));
        return { data: new Uint8Array([7]) };
      }
      // Long enough for others to want the same.
      await new Promise(setImmediate);
      const id = `l${made.length}` as LayerId;
      made.push(`${id}@${agentId}`);
      return { outputs: [{ layers: [id] }], layers: [layerInfo(id, { holders: [agentId] })] };
    };
    return { made, seen, on };
  }

  it("are made again with what they stood on, and others take their place", async () => {
    await using fleet = await FakeFleet.start();
    const { made, seen, on } = maker();
    const a = await fleet.agent("a", on("a"));
    await fleet.dispatcher.run("file", file(), fleet.context());
    await fleet.dispatcher.run("file", file("l0"), fleet.context());
    assert.deepEqual(made, ["l0@a", "l1@a"]);
    await fleet.agent("b", on("b"));
    // Agent a comes back empty: it tells that it has dropped everything.
    a.refuse = true;
    await fleet.catalog.dropHolder(["l0", "l1"] as LayerId[], "a");
    const { data } = await fleet.dispatcher.run("read", read("l0", "l1"), fleet.context());
    assert.deepEqual([...data], [7]);
    assert.deepEqual(made.slice(2), ["l2@b", "l3@b"]);
    assert.deepEqual(seen, [["l2", "l3"]]);
    assert.match(fleet.logs.join(""), /making 1 lost layer\(s\) again/);
    // Its old copies are of no interest any more, and the new ones can be lost in their turn.
    await fleet.catalog.addHolder("l0" as LayerId, "a");
    await fleet.catalog.dropHolder(["l2", "l3"] as LayerId[], "b");
    await fleet.dispatcher.run("read", read("l0", "l1"), fleet.context());
    assert.deepEqual(seen[1], ["l4", "l5"]);
  });

  it("are made again once for all coordinators, by any of them", async () => {
    const [bus, store] = [new MemoryMessageBus(), new MemoryKeyValueStore()];
    await using one = await FakeFleet.start(bus, store, "one");
    await using two = await FakeFleet.start(bus, store, "two");
    const { made, seen, on } = maker();
    await one.agent("a", on("a"));
    await one.dispatcher.run("file", file(), one.context());
    await one.catalog.dropHolder(["l0"] as LayerId[], "a");
    await bus.flush();
    const reads = [two, one, two].map((fleet) => fleet.dispatcher.run("read", read("l0"), fleet.context()));
    await Promise.all(reads);
    assert.deepEqual(made, ["l0@a", "l1@a"]);
    assert.deepEqual(seen, [["l1"], ["l1"], ["l1"]]);
  });

  it("are not left to a coordinator that is gone", async () => {
    await using fleet = await FakeFleet.start();
    const { made, on } = maker();
    await fleet.agent("a", on("a"));
    await fleet.dispatcher.run("file", file(), fleet.context());
    await fleet.catalog.dropHolder(["l0"] as LayerId[], "a");
    assert.ok(await fleet.catalog.claim("l0" as LayerId, "dead", () => true));
    await fleet.dispatcher.run("read", read("l0"), fleet.context());
    assert.deepEqual(made, ["l0@a", "l1@a"]);
  });

  it("are tried again after a failure", async () => {
    await using fleet = await FakeFleet.start();
    const { made, on } = maker();
    let fails = false;
    await fleet.agent("a", async (task) => {
      if (fails && task.kind === "file") throw new BuildError(Code.Unknown, "the step fails");
      return on("a")(task);
    });
    await fleet.dispatcher.run("file", file(), fleet.context());
    await fleet.catalog.dropHolder(["l0"] as LayerId[], "a");
    fails = true;
    await assert.rejects(fleet.dispatcher.run("read", read("l0"), fleet.context()), /the step fails/);
    fails = false;
    await fleet.dispatcher.run("read", read("l0"), fleet.context());
    assert.deepEqual(made, ["l0@a", "l1@a"]);
  });

  it("count as there while all they stand on can be made again, too", async () => {
    await using fleet = await FakeFleet.start();
    const { on } = maker();
    await fleet.agent("a", on("a"));
    await fleet.dispatcher.run("file", file(), fleet.context());
    await fleet.dispatcher.run("file", file("l0"), fleet.context());
    await fleet.catalog.dropHolder(["l0", "l1"] as LayerId[], "a");
    const canBeHad = (id: string) => fleet.dispatcher.canBeHad(fleet.catalog.require(id as LayerId));
    assert.equal(await canBeHad("l1"), true);
    await fleet.catalog.record([layerInfo("unknown", { holders: ["dead"] })]);
    assert.equal(await canBeHad("unknown"), false);
  });

  it("of a client's directory are only made again with that client", async () => {
    await using fleet = await FakeFleet.start();
    const { made, on } = maker();
    const source = SourceOp.encode(SourceOp.fromPartial({ identifier: "local://context" })).finish();
    await fleet.agent("a", async (task) =>
      on("a")({ ...task, kind: task.kind === "source.fetch" ? "file" : task.kind }),
    );
    const body = { source, platform: parsePlatform("linux/amd64"), description: "" };
    const mine = fleet.context({ sessions: new FakeSessionGroup(new FakeSession("mine", {})) });
    const others = fleet.context({ sessions: new FakeSessionGroup(new FakeSession("other", {})) });
    await fleet.dispatcher.run("source.fetch", body, mine);
    await fleet.catalog.dropHolder(["l0"] as LayerId[], "a");
    assert.equal(await fleet.dispatcher.canBeHad(fleet.catalog.require("l0" as LayerId)), false);
    await assert.rejects(fleet.dispatcher.run("read", read("l0"), others), /layer l0 is lost/);
    await fleet.dispatcher.run("read", read("l0"), mine);
    assert.deepEqual(made, ["l0@a", "l1@a"]);
  });

  it("fail the task with a sentence when nobody knows how they were made", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", answer);
    await fleet.catalog.record([layerInfo("gone", { holders: ["dead"] })]);
    await assert.rejects(fleet.dispatcher.run("read", read("gone"), fleet.context()), /layer gone is lost/);
  });
});
