import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { LayerLostError } from "../../../src/core/errors/layer-lost-error.ts";
import { buildOnce, edge, numberCache, numberSolver, results, vertex } from "../../helpers/number-graph.ts";

const lost = () => new LayerLostError(new BuildError(Code.DataLoss, "blob x: got other content"));

/** Throws so many times, then does nothing. */
function failing(times: number, error: () => Error = lost): () => void {
  let left = times;
  return () => {
    if (left-- > 0) throw error();
  };
}

interface Failures {
  /** Of the run of `b`, of `c`, and of the look at the content of `b`. */
  readonly b?: () => void;
  readonly c?: () => void;
  readonly content?: () => void;
}

function chain({ b, c, content }: Failures = {}) {
  const first = vertex({ name: "a", compute: () => 1 });
  const second = vertex({ name: "b", inputs: [edge(first)], compute: ([a = 0]) => a + 1, during: async () => b?.() });
  const third = vertex({
    name: content === undefined ? "c" : "c by content",
    inputs: [edge(second)],
    compute: ([value = 0]) => value + 1,
    during: async () => c?.(),
    ...(content === undefined ? {} : { content: [0], duringContent: content }),
  });
  return { b: second, c: third, execs: () => [first, second, third].map(({ payload }) => payload.execs) };
}

describe("A result from cache whose bytes are lost", () => {
  afterEach(() => assert.equal(results.live.size, 0, "results left"));

  it("is made anew when a step fails on it, and the step runs again", async () => {
    const before = numberSolver();
    await buildOnce(before, chain().b);
    const graph = chain({ c: failing(1) });
    assert.equal(await buildOnce(numberSolver(before), graph.c), 3);
    assert.deepEqual(graph.execs(), [0, 1, 2]);
    const later = chain();
    await buildOnce(numberSolver(before), later.b);
    assert.deepEqual(later.execs(), [0, 0, 0], "what was made anew is cached");
  });

  it("is made anew from what is made anew itself", async () => {
    const before = numberSolver();
    await buildOnce(before, chain().b);
    const graph = chain({ b: failing(1), c: failing(1) });
    assert.equal(await buildOnce(numberSolver(before), graph.c), 3);
    assert.deepEqual(graph.execs(), [1, 2, 2]);
  });

  it("is made anew when its content cannot be told", async () => {
    const before = numberSolver();
    await buildOnce(before, chain().b);
    const graph = chain({ content: failing(1) });
    assert.equal(await buildOnce(numberSolver(before), graph.c), 3);
    assert.deepEqual(graph.execs(), [0, 1, 1]);
  });

  it("is forgotten in the imported cache it came from, and in the local one", async () => {
    const elsewhere = numberSolver();
    await buildOnce(elsewhere, chain().b);
    const imported = numberCache("imported", elsewhere.keys, elsewhere.stored);
    const here = numberSolver();
    const graph = chain({ c: failing(1) });
    assert.equal(await buildOnce(here, graph.c, { caches: [imported] }), 3);
    assert.deepEqual(graph.execs(), [0, 1, 2]);
    const again = chain({ c: failing(1) });
    const there = numberSolver(elsewhere);
    await buildOnce(there, again.b);
    assert.deepEqual(again.execs(), [0, 1, 0], "the imported record is gone");
  });

  it("stays when the step fails for another reason", async () => {
    const before = numberSolver();
    await buildOnce(before, chain().b);
    for (const error of [
      new Error("exit code: 1"),
      new BuildError(Code.DataLoss, "wrong sum"),
      new BuildError(Code.Unavailable, "no agent", { infrastructure: true }),
    ]) {
      const graph = chain({ c: failing(1, () => error) });
      await assert.rejects(buildOnce(numberSolver(before), graph.c), { message: error.message });
      assert.deepEqual(graph.execs(), [0, 0, 1]);
    }
  });
});
