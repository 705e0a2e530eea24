import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { Edge } from "../../../src/core/seams/op.ts";
import type { Job } from "../../../src/solver/index.ts";
import {
  buildOnce,
  edge,
  eventually,
  LostLayers,
  type NumberResult,
  type NumberSpec,
  type NumberVertex,
  numberSolver,
  results,
  vertex,
} from "../../helpers/number-graph.ts";

const signal = new AbortController().signal;

function execs(...vertices: readonly NumberVertex[]): number[] {
  return vertices.map(({ payload }) => payload.execs);
}

/** A step that reads its inputs, the layers of which may be lost. */
function step(lost: LostLayers, name: string, inputs: readonly NumberVertex[], more: Partial<NumberSpec> = {}) {
  return vertex({ name, inputs: inputs.map((input) => edge(input)), reads: lost.reads, ...more });
}

async function inJob<R>(work: (job: Job<NumberResult>) => Promise<R>, before = numberSolver()): Promise<R> {
  const job = before.solver.newJob("job");
  try {
    return await work(job);
  } finally {
    await job.discard();
    assert.deepEqual(before.solver.counts(), { jobs: 0, vertices: 0, runs: 0, draining: 0 });
  }
}

/** Builds, and loses the layer that this made itself. */
async function buildAndLose(job: Job<NumberResult>, lost: LostLayers, ...vertices: readonly NumberVertex[]) {
  for (const one of vertices) {
    const { result } = await job.build(edge(one), { signal });
    lost.add(result.layers.at(-1) as string);
  }
}

describe("A result that a build has made and that is lost", () => {
  afterEach(() => assert.equal(results.live.size, 0, "results left"));

  it("is made again for the step that reads it, and nothing else is", async () => {
    const lost = new LostLayers();
    const a = vertex({ name: "a", compute: () => 1 });
    const b = step(lost, "b", [a]);
    const other = vertex({ name: "other", compute: () => 5 });
    const c = step(lost, "c", [b, other]);
    await inJob(async (job) => {
      await buildAndLose(job, lost, b);
      assert.equal((await job.build(edge(c), { signal })).result.value, 6);
    });
    assert.deepEqual(execs(a, b, other, c), [1, 2, 1, 2]);
  });

  it("is made again with what was lost below it, from cache or not", async () => {
    const lost = new LostLayers();
    const graph = () => {
      const a = vertex({ name: "a", compute: () => 1 });
      const b = step(lost, "b", [a]);
      return { a, b, c: step(lost, "c", [b]) };
    };
    const before = numberSolver();
    const early = graph();
    await inJob((job) => buildAndLose(job, lost, early.a), before);
    await buildOnce(before, graph().b);
    const { a, b, c } = graph();
    const d = step(lost, "d", [c]);
    await inJob(async (job) => {
      const { result } = await job.build(edge(c), { signal });
      lost.add(...result.layers);
      assert.equal((await job.build(edge(d), { signal })).result.value, 1);
    }, numberSolver(before));
    assert.deepEqual(execs(a, b, c, d), [1, 2, 2, 2]);
    const again = graph();
    await buildOnce(numberSolver(before), again.c);
    assert.deepEqual(execs(again.a, again.b, again.c), [0, 0, 0], "what was made anew is cached");
  });

  it("is made again behind a merge of others", async () => {
    const lost = new LostLayers();
    const x = vertex({ name: "x", compute: () => 1 });
    const y = vertex({ name: "y", compute: () => 2 });
    const merge = vertex({ name: "merge", merges: true, inputs: [edge(x), edge(y)] });
    const outer = vertex({ name: "outer", merges: true, inputs: [edge(merge)] });
    const z = step(lost, "z", [outer]);
    await inJob(async (job) => {
      await job.build(edge(outer), { signal });
      await buildAndLose(job, lost, x);
      assert.equal((await job.build(edge(z), { signal })).result.value, 3);
    });
    assert.deepEqual(execs(x, y, merge, outer), [2, 1, 2, 2]);
  });

  it("is made again once for all who wait for it, equal steps among them", async () => {
    const lost = new LostLayers();
    const gate = Promise.withResolvers<void>();
    const a = vertex({ name: "a", compute: () => 1 });
    const twin = vertex({ name: "a", digest: "another a", compute: () => 1 });
    const waits = { during: () => gate.promise };
    const readers = [a, a, twin, twin].map((input, i) => step(lost, `reader ${i}`, [input], waits));
    await inJob(async (job) => {
      const built = readers.map((reader) => job.build(edge(reader), { signal }));
      await eventually(() => readers.every(({ payload }) => payload.running === 1));
      const { result } = await job.build(edge(a), { signal });
      lost.add(...result.layers);
      gate.resolve();
      assert.deepEqual(
        (await Promise.all(built)).map((one) => one.result.value),
        [1, 1, 1, 1],
      );
    });
    assert.deepEqual([a.payload.execs + twin.payload.execs, ...execs(...readers)], [2, 2, 2, 2, 2]);
    assert.equal(a.payload.mostAtOnce, 1);
  });

  it("is made again once for both outputs of a step", async () => {
    const lost = new LostLayers();
    const a = vertex({ name: "a", compute: () => 1, outputs: 2 });
    const both = vertex({ name: "both", inputs: [edge(a), edge(a, 1)], reads: lost.reads });
    await inJob(async (job) => {
      for (const index of [0, 1]) lost.add(...(await job.build(edge(a, index), { signal })).result.layers);
      assert.equal((await job.build(edge(both), { signal })).result.value, 3);
    });
    assert.deepEqual(execs(a), [2]);
  });

  it("is made again when its content is to be told, and when a nested build gave it", async () => {
    const lost = new LostLayers();
    const setup = numberSolver();
    const inner = vertex({ name: "inner", compute: () => 4 });
    const outer = vertex({
      name: "outer",
      merges: true,
      compute: () => 4,
      during: async () => {
        const { result } = await setup.solver.buildNested(outer, edge(inner), { signal });
        layers = result.layers;
      },
    });
    let layers: readonly string[] = [];
    // What the nested build gave is the result, as with a build op.
    Object.assign(outer.payload, { exec: nestedExec(outer.payload, () => layers) });
    const reader = step(lost, "reader", [outer], { content: [0] });
    await inJob(async (job) => {
      const { result } = await job.build(edge(outer), { signal });
      lost.add(...result.layers);
      assert.equal((await job.build(edge(reader), { signal })).result.value, 4);
    }, setup);
    assert.deepEqual(execs(inner, outer), [2, 2]);
  });

  it("is not made again and again when that is of no use", async () => {
    const lost = new LostLayers();
    // As an image whose registry gives damaged layers: they have the same names each time.
    const source = vertex({ name: "image", compute: () => 1, merges: true });
    Object.assign(source.payload, { exec: nestedExec(source.payload, () => ["damaged"]) });
    lost.add("damaged");
    const merge = vertex({ name: "merge", merges: true, inputs: [edge(source)] });
    const reader = step(lost, "reader", [merge]);
    await assert.rejects(buildOnce(numberSolver(), reader), { message: "layers damaged are lost" });
    assert.deepEqual(execs(source, reader), [2, 2]);
  });

  it("is made again no more than some times, whatever happens", async () => {
    const lost = new LostLayers();
    const a = vertex({ name: "a", compute: () => 1 });
    const reader = step(lost, "reader", [a], {
      reads: (inputs) => {
        lost.add(...inputs.flatMap(({ layers }) => layers));
        lost.reads(inputs);
      },
    });
    await assert.rejects(buildOnce(numberSolver(), reader), { message: /are lost$/ });
    assert.deepEqual(execs(a), [11]);
  });

  it("is stored under the content that it has when it is made again", async () => {
    const lost = new LostLayers();
    const graph = (...values: readonly number[]) => {
      const left = [...values];
      const source = vertex({ name: "directory", random: true, compute: () => left.shift() ?? 0 });
      return { source, copy: step(lost, "copy", [source], { content: [0] }) };
    };
    const before = numberSolver();
    const changed = graph(1, 2);
    const value = await inJob(async (job) => {
      await job.build(edge(changed.source), { signal });
      // It is told first, and lost when the step begins.
      const reads = changed.copy.payload.spec.reads;
      let looks = 0;
      Object.assign(changed.copy.payload.spec, {
        reads: (inputs: readonly NumberResult[]) => {
          if (looks++ === 1) lost.add(...(inputs[0]?.layers ?? []));
          reads?.(inputs);
        },
      });
      return (await job.build(edge(changed.copy), { signal })).result.value;
    }, before);
    assert.equal(value, 2);
    for (const content of [1, 2]) {
      const { copy } = graph(content);
      assert.equal(await buildOnce(numberSolver(before), copy), content);
      assert.deepEqual(execs(copy), [content === 2 ? 0 : 1]);
    }
  });
});

describe("Job.discredit()", () => {
  afterEach(() => assert.equal(results.live.size, 0, "results left"));

  it("has lost results made anew for who builds again, with the keys that lead to them", async () => {
    const lost = new LostLayers();
    const a = vertex({ name: "a", compute: () => 1 });
    const b = step(lost, "b", [a]);
    const c = step(lost, "c", [b]);
    await inJob(async (job) => {
      const first = await job.build(edge(c), { signal });
      await buildAndLose(job, lost, b);
      const failure = thrown(() => lost.reads([first.result]));
      const again = await job.discredit(failure);
      assert.deepEqual(again.map(nameOf), ["b", "c"]);
      const second = await job.build(edge(c), { signal });
      assert.doesNotThrow(() => lost.reads([second.result]));
      const [key] = first.cacheKeys;
      assert.equal(key?.fresh?.result, second.result, "who knows the first key finds the result");
      assert.doesNotThrow(() => lost.reads([key?.deps[0]?.[0]?.key.fresh?.result ?? { layers: [] }]));
      assert.deepEqual((await job.discredit(failure)).map(nameOf), ["b", "c"], "whoever comes late learns so as well");
      assert.deepEqual(await job.discredit(new Error("exit code: 1")), []);
    });
    assert.deepEqual(execs(a, b, c), [1, 2, 2]);
  });
});

function nameOf({ vertex: { name } }: Edge): string {
  return name;
}

function thrown(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Runs as the op does, and gives a result with other layers. */
function nestedExec(op: NumberVertex["payload"], layers: () => readonly string[]): NumberVertex["payload"]["exec"] {
  return async (inputs, context) => {
    op.execs++;
    await op.spec.during?.(context);
    return [results.make(op.spec.compute?.(inputs.map(({ value }) => value)) ?? 0, [], layers())];
  };
}
