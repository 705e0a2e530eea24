import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { OpContext, Vertex } from "../../../src/core/seams/op.ts";
import type { Job, ProgressEvent, VertexProgress } from "../../../src/solver/index.ts";
import {
  buildOnce,
  edge,
  eventually,
  type NumberResult,
  numberSolver,
  results,
  vertex,
} from "../../helpers/number-graph.ts";

const never = new AbortController().signal;

/** Holds whoever waits until it is opened, or until his signal aborts. */
class Gate {
  waiting = 0;
  aborted = 0;
  readonly #opened = Promise.withResolvers<void>();

  open(): void {
    this.#opened.resolve();
  }

  readonly pass = async ({ signal }: OpContext): Promise<void> => {
    this.waiting++;
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([this.#opened.promise, aborted]);
    this.waiting--;
    if (signal.aborted) this.aborted++;
  };
}

async function drained(job: Job<NumberResult>): Promise<ProgressEvent[]> {
  const events: ProgressEvent[] = [];
  for await (const event of job.progress(never)) events.push(event);
  return events;
}

function lastOf(events: readonly ProgressEvent[], name: string): VertexProgress | undefined {
  return events.flatMap(({ vertexes }) => vertexes).findLast((v) => v.name === name);
}

describe("Solver sharing", () => {
  afterEach(() => {
    assert.equal(results.live.size, 0, "results left");
  });

  it("runs a vertex once for all jobs and shows its progress to each, latecomers included", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const shared = vertex({
      name: "shared",
      compute: () => 1,
      during: async (context) => {
        context.progress.log(1, new TextEncoder().encode("hello"));
        await gate.pass(context);
      },
    });
    const first = solver.newJob("1", { sessionIds: ["s1"] });
    const second = solver.newJob("2", { sessionIds: ["s2"] });
    const a = first.build(edge(vertex({ name: "a", inputs: [edge(shared)] })), { signal: never });
    await eventually(() => gate.waiting === 1);
    const late = drained(second);
    const b = second.build(edge(vertex({ name: "b", inputs: [edge(shared)], compute: ([x = 0]) => x + 1 })), {
      signal: never,
    });
    await eventually(() => shared.payload.maps === 1);
    gate.open();
    assert.deepEqual([(await a).result.value, (await b).result.value], [1, 2]);
    assert.equal(shared.payload.execs, 1);
    await first.discard();
    await second.discard();
    const events = await late;
    const seen = lastOf(events, "shared");
    assert.ok(seen?.completedAt !== undefined && !seen.cached && seen.error === undefined);
    const logs = events.flatMap((event) => event.logs);
    assert.deepEqual(
      logs.map(({ data }) => new TextDecoder().decode(data)),
      ["hello"],
    );
    assert.deepEqual(solver.counts(), { jobs: 0, vertices: 0, runs: 0, draining: 0 });
  });

  it("announces vertices the other way round from how they were loaded", async () => {
    const { solver } = numberSolver();
    const job = solver.newJob("1");
    const events = drained(job);
    const inputs = ["a", "b"].map((name) => edge(vertex({ name, compute: () => 1 })));
    await job.build(edge(vertex({ name: "sum", inputs, compute: ([x = 0, y = 0]) => x + y })), { signal: never });
    await job.discard();
    const [first] = await events;
    const announced = first?.vertexes.filter(({ startedAt }) => startedAt === undefined).map(({ name }) => name);
    assert.deepEqual(announced, ["sum", "b", "a"]);
  });

  it("runs a vertex as all jobs together want it", async () => {
    const mergeVertices = (known: Vertex, other: Vertex) => ({ ...known, name: `${known.name}+${other.name}` });
    const { solver } = numberSolver(undefined, { mergeVertices });
    const gate = new Gate();
    let ran = "";
    const spec = {
      digest: "same",
      compute: () => 1,
      duringMap: async (_index: number, context: OpContext) => gate.pass(context),
      during: async (context: OpContext) => {
        ran = context.vertex.name;
      },
    };
    const jobs = ["1", "2"].map((id) => solver.newJob(id));
    const builds: Promise<unknown>[] = [];
    for (const [place, job] of jobs.entries()) {
      builds.push(job.build(edge(vertex({ ...spec, name: `v${place}` })), { signal: never }));
      await eventually(() => gate.waiting === 1);
    }
    gate.open();
    await Promise.all(builds);
    assert.equal(ran, "v0+v1");
    await Promise.all(jobs.map((job) => job.discard()));
  });

  it("fails what depends on the compatibility version when jobs want different ones, and nothing else", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const passed = async (context: OpContext) => gate.pass(context);
    const asks = async (context: OpContext) => {
      await gate.pass(context);
      assert.equal(context.compatibilityVersion, 10);
    };
    const careless = vertex({ name: "careless", compute: () => 1, during: passed });
    const careful = vertex({ name: "careful", compute: () => 1, during: asks });
    const jobs = [10, 30].map((compatibilityVersion) =>
      solver.newJob(`${compatibilityVersion}`, { compatibilityVersion }),
    );
    const build = (of: Vertex) => jobs.map((job) => job.build(edge(of), { signal: never }));
    const builds = [...build(careless), ...build(careful)];
    await eventually(() => gate.waiting === 2);
    gate.open();
    const outcomes = await Promise.allSettled(builds);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === "fulfilled" ? 1 : outcome.reason.message)),
      [1, 1, ...[1, 2].map(() => "conflicting compatibility versions in shared solve state: 10 != 30")],
    );
    await Promise.all(jobs.map((job) => job.discard()));
    const alone = solver.newJob("alone", { compatibilityVersion: 10 });
    await alone.build(edge(careful), { signal: never });
    await alone.discard();
  });

  it("lends a vertex the sessions of every job that wants it", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    let ids: readonly string[] = [];
    const shared = vertex({
      name: "v",
      compute: () => 1,
      during: async (context) => {
        await gate.pass(context);
        ids = context.sessions.ids;
      },
    });
    const first = solver.newJob("1", { sessionIds: ["s1"] });
    const second = solver.newJob("2", { sessionIds: ["s2"] });
    const builds = [first.build(edge(shared), { signal: never })];
    await eventually(() => gate.waiting === 1);
    builds.push(second.build(edge(shared), { signal: never }));
    second.sessionIds.push("s3");
    gate.open();
    await Promise.all(builds);
    assert.deepEqual(ids, ["s1", "s2", "s3"]);
    await Promise.all([first.discard(), second.discard()]);
  });

  it("goes on for others when one job is cancelled, and stops with the last", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const shared = vertex({ name: "v", compute: () => 1, during: gate.pass });
    const jobs = [solver.newJob("1"), solver.newJob("2")];
    const aborts = jobs.map(() => new AbortController());
    const builds = jobs.map((job, i) => job.build(edge(shared), { signal: aborts[i]?.signal ?? never }));
    const outcomes = Promise.allSettled(builds);
    await eventually(() => gate.waiting === 1);
    aborts[0]?.abort();
    await assert.rejects(builds[0] ?? Promise.resolve(), (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, Code.Canceled);
      assert.equal(error.message, "context canceled");
      return true;
    });
    assert.equal(gate.aborted, 0);
    const events = drained(jobs[1] as Job<NumberResult>);
    aborts[1]?.abort();
    await eventually(() => gate.aborted === 1);
    await outcomes;
    await Promise.all(jobs.map((job) => job.discard()));
    assert.equal(lastOf(await events, "v")?.error, "context canceled");
    assert.equal(solver.counts().vertices, 0);
  });

  it("ends the builds of a job that is discarded", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const job = solver.newJob("1");
    const build = job.build(edge(vertex({ name: "v", during: gate.pass })), { signal: never });
    const rejected = assert.rejects(build, /^BuildError: context canceled$/);
    await eventually(() => gate.waiting === 1);
    await job.discard();
    await rejected;
    assert.equal(gate.aborted, 1);
    assert.deepEqual(solver.counts(), { jobs: 0, vertices: 0, runs: 0, draining: 0 });
  });

  it("starts a cancelled vertex anew, but not before it has come to rest", async () => {
    const { solver } = numberSolver();
    const rest = Promise.withResolvers<void>();
    let round = 0;
    const slowToStop = vertex({
      name: "v",
      compute: () => 1,
      during: async ({ signal }) => {
        if (round++ > 0) return;
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        await rest.promise;
      },
    });
    const abort = new AbortController();
    const first = solver.newJob("1");
    const build = first.build(edge(slowToStop), { signal: abort.signal });
    await eventually(() => slowToStop.payload.running === 1);
    abort.abort();
    await assert.rejects(build);
    const discarded = first.discard();
    const second = solver.newJob("2");
    const again = second.build(edge(slowToStop), { signal: never });
    await eventually(() => solver.counts().draining === 1);
    assert.equal(slowToStop.payload.execs, 1);
    rest.resolve();
    await discarded;
    assert.equal((await again).result.value, 1);
    assert.equal(slowToStop.payload.mostAtOnce, 1);
    await second.discard();
  });

  it("lets one of two different vertices with an equal key run, and keeps it alive for the other's job", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const make = (name: string) => {
      const local = vertex({ name: `local ${name}`, random: true, compute: () => 3 });
      return vertex({ name: "copy", inputs: [edge(local)], content: [0], during: gate.pass });
    };
    const one = make("1");
    const two = make("2");
    const first = solver.newJob("1");
    const second = solver.newJob("2");
    const abort = new AbortController();
    const a = first.build(edge(one), { signal: abort.signal });
    await eventually(() => gate.waiting === 1);
    const events = drained(second);
    const b = second.build(edge(two), { signal: never });
    await eventually(() => solver.counts().vertices === 4 && two.payload.contents === 1);
    await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    await assert.rejects(a);
    await first.discard();
    gate.open();
    assert.equal((await b).result.value, 3);
    assert.deepEqual([one.payload.execs, two.payload.execs], [1, 0]);
    await second.discard();
    const shown = (await events).flatMap(({ vertexes }) => vertexes).filter((v) => v.digest === two.digest);
    assert.equal(shown.at(-1)?.cached, true);
    assert.equal(solver.counts().vertices, 0);
  });

  it("keeps a run that ignores cache apart from one that does not", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const plain = vertex({ name: "v", compute: () => 1, during: gate.pass });
    const forced = vertex({ name: "v", compute: () => 2, ignoreCache: true });
    const third = vertex({ name: "v", compute: () => 3 });
    const jobs = [solver.newJob("1"), solver.newJob("2"), solver.newJob("3")] as const;
    const a = jobs[0].build(edge(plain), { signal: never });
    await eventually(() => gate.waiting === 1);
    assert.equal((await jobs[1].build(edge(forced), { signal: never })).result.value, 2);
    assert.equal(
      (await jobs[2].build(edge(third), { signal: never })).result.value,
      2,
      "a plain vertex joins the forced one",
    );
    gate.open();
    assert.equal((await a).result.value, 1);
    await Promise.all(jobs.map((job) => job.discard()));
  });

  it("fails the jobs that need a failing vertex, names it, and stops its siblings", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const bad = vertex({ name: "bad", failExec: "exit code: 1" });
    const slow = vertex({ name: "slow", compute: () => 1, during: gate.pass });
    const top = vertex({ name: "top", inputs: [edge(slow), edge(bad)] });
    const job = solver.newJob("1");
    await assert.rejects(job.build(edge(top), { signal: never }), (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.message, "exit code: 1");
      const [detail] = error.details;
      assert.equal(detail?.typeUrl, "github.com/moby/buildkit/errdefs.Vertex+json");
      assert.deepEqual(JSON.parse(new TextDecoder().decode(detail?.value)), { digest: bad.digest });
      return true;
    });
    await eventually(() => gate.waiting === 0);
    const events = drained(job);
    await job.discard();
    assert.equal(lastOf(await events, "bad")?.error, "exit code: 1");
    const late = vertex({ name: "map", failMap: "not found" });
    await assert.rejects(buildOnce({ solver }, late), /^BuildError: failed to load cache key: not found$/);
  });

  it("rejects an output that the run did not give", async () => {
    const { solver } = numberSolver();
    await assert.rejects(
      buildOnce({ solver }, edge(vertex({ name: "v", compute: () => 1 }), 4)),
      /^BuildError: invalid response from exec need 4 index but 1 results received$/,
    );
  });

  it("starts what can run while another input is still being resolved", async () => {
    const { solver } = numberSolver();
    const gate = new Gate();
    const slow = vertex({ name: "git", compute: () => 1, duringMap: (_, context) => gate.pass(context) });
    const fast = vertex({ name: "image", compute: () => 2 });
    const step = vertex({ name: "step", inputs: [edge(fast)] });
    const top = vertex({ name: "top", inputs: [edge(vertex({ name: "both", inputs: [edge(slow), edge(step)] }))] });
    const job = solver.newJob("1");
    const build = job.build(edge(top), { signal: never });
    await eventually(() => step.payload.execs === 1);
    assert.equal(slow.payload.maps, 1, "and the slow one was not started over");
    gate.open();
    assert.equal((await build).result.value, 3);
    await job.discard();
  });

  it("shows what lies below a cached vertex as cached", async () => {
    const before = numberSolver();
    const a = vertex({ name: "a", compute: () => 1 });
    const b = vertex({ name: "b", inputs: [edge(a)] });
    const c = vertex({ name: "c", inputs: [edge(b)] });
    await buildOnce(before, c);
    const { solver } = numberSolver(before);
    const job = solver.newJob("1");
    await job.build(edge(c), { signal: never });
    const events = drained(job);
    await job.discard();
    const all = await events;
    assert.deepEqual(
      ["a", "b", "c"].map((name) => lastOf(all, name)?.cached),
      [false, true, true],
      "a source was asked for its key",
    );
    assert.ok(lastOf(all, "b")?.completedAt !== undefined);
  });

  it("refuses a nested build that contains itself", async () => {
    const { solver } = numberSolver();
    const inner = vertex({ name: "inner", compute: () => 5 });
    const outer = vertex({
      name: "outer",
      compute: () => 1,
      during: async ({ signal }) => {
        const nested = await solver.buildNested(outer, edge(inner), { signal });
        assert.equal(nested.result.value, 5);
        await solver.buildNested(outer, edge(vertex({ name: "round", inputs: [edge(outer)] })), { signal });
      },
    });
    await assert.rejects(buildOnce({ solver }, outer), /contains itself/);
    assert.equal(solver.counts().vertices, 0);
  });

  it("hands out a job by id, also to those who come before it", async () => {
    const { solver } = numberSolver();
    const early = solver.waitForJob("1", never);
    const job = solver.newJob("1");
    assert.equal(await early, job);
    assert.equal(solver.job("1"), job);
    assert.throws(
      () => solver.newJob("1"),
      (error) => error instanceof BuildError && error.code === Code.AlreadyExists,
    );
    await job.discard();
    assert.equal(solver.job("1"), undefined);
    await assert.rejects(solver.waitForJob("2", AbortSignal.abort(new Error("gone"))), /gone/);
    await assert.rejects(job.build(edge(vertex({ name: "v" })), { signal: never }), /context canceled/);
  });

  it("shows other work as a vertex", async () => {
    const { solver } = numberSolver();
    const job = solver.newJob("1");
    const events = drained(job);
    await job.inVertex(
      "exporting to image",
      async (progress) => progress.status({ id: "layers", startedAt: 1 }),
      never,
    );
    await assert.rejects(
      job.inVertex("bad", () => Promise.reject(new Error("no")), never),
      /no/,
    );
    const open = job.inVertex(
      "open",
      (_, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      never,
    );
    await Promise.all([assert.rejects(open), job.discard()]);
    const all = await events;
    assert.ok(lastOf(all, "exporting to image")?.completedAt !== undefined);
    assert.equal(lastOf(all, "bad")?.error, "no");
    assert.equal(lastOf(all, "open")?.error, "context canceled");
    assert.deepEqual(
      all.flatMap(({ statuses }) => statuses).map(({ id }) => id),
      ["layers"],
    );
  });
});
