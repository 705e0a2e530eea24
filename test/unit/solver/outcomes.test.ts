import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Vertex } from "../../../src/core/seams/op.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import type { CacheManager, JobVertexOutcome } from "../../../src/solver/index.ts";
import {
  edge,
  eventually,
  type NumberResult,
  type NumberSolver,
  numberCache,
  numberSolver,
  results,
  vertex,
} from "../../helpers/number-graph.ts";

const { signal } = new AbortController();

/** Builds, and says what became of the vertices by name. */
async function outcomes(
  { solver }: NumberSolver,
  of: Vertex,
  caches: readonly CacheManager<NumberResult>[] = [],
): Promise<ReadonlyMap<string, JobVertexOutcome>> {
  const job = solver.newJob(`job ${Math.random()}`);
  try {
    await job.build(edge(of), { signal, caches }).catch(() => {});
    return new Map(job.outcomes().map((outcome) => [outcome.vertex.name, outcome]));
  } finally {
    await job.discard();
  }
}

const how = (seen: ReadonlyMap<string, JobVertexOutcome>) =>
  Object.fromEntries([...seen].map(([name, outcome]) => [name, outcome.how]));

describe("outcomes of a job", () => {
  after(() => assert.equal(results.live.size, 0, "results left"));

  const graph = () => {
    const source = vertex({ name: "source", keys: ["by manifest", "by config"], compute: () => 1 });
    const middle = vertex({ name: "middle", inputs: [edge(source)], content: [0], selectors: { 0: "part" } });
    return { source, top: vertex({ name: "top", inputs: [edge(middle), edge(source)] }) };
  };

  it("tell keys, selectors and contents, inputs first", async () => {
    const { source, top } = graph();
    const seen = await outcomes(numberSolver(), top);
    assert.deepEqual([...seen.keys()], ["source", "middle", "top"]);
    assert.deepEqual(how(seen), { source: "ran", middle: "ran", top: "ran" });
    assert.deepEqual(
      seen.get("source")?.keys,
      ["by manifest", "by config"].map((key) => sha256(`number ${key}`)),
    );
    assert.deepEqual(seen.get("middle")?.inputs, [
      { digest: source.digest, output: 0, selector: sha256("part"), content: sha256("content 1") },
    ]);
    assert.deepEqual(
      [...seen.values()].map(({ number }) => number),
      [1, 2, 3],
      "numbers go by the order of starts",
    );
  });

  it("tell what was cached and what was not needed", async () => {
    const first = numberSolver();
    await outcomes(first, graph().top);
    const seen = await outcomes(numberSolver(first), graph().top);
    assert.deepEqual(how(seen), { source: "unused", middle: "unused", top: "cached" });
    assert.equal(seen.get("top")?.loadedFrom, "local");
  });

  it("tell the imported cache a result came from", async () => {
    const elsewhere = numberSolver();
    await outcomes(elsewhere, graph().top);
    const imported = numberCache("registry/app:cache", elsewhere.keys, elsewhere.stored);
    const seen = await outcomes(numberSolver(), graph().top, [imported]);
    assert.deepEqual([seen.get("top")?.how, seen.get("top")?.loadedFrom], ["cached", "registry/app:cache"]);
  });

  it("tell of a result that could not be loaded", async () => {
    const first = numberSolver();
    const step = () => vertex({ name: "step", compute: () => 1 });
    await outcomes(first, step());
    for (const id of first.stored.ids()) first.stored.broken.add(id);
    const seen = (await outcomes(numberSolver(first), step())).get("step");
    assert.deepEqual([seen?.how, seen?.lostResult], ["ran", true]);
  });

  it("tell failures, and what did not come to run", async () => {
    const fails = vertex({ name: "fails", failExec: "no luck" });
    const seen = await outcomes(numberSolver(), vertex({ name: "above", inputs: [edge(fails)] }));
    assert.deepEqual(how(seen), { fails: "failed", above: "unused" });
  });

  it("tell who took the result of another", async () => {
    const fleet = numberSolver();
    const gate = Promise.withResolvers<void>();
    const step = (digest: string) => vertex({ name: "step", digest, compute: () => 1, during: () => gate.promise });
    const running = step("first");
    const one = outcomes(fleet, running);
    await eventually(() => running.payload.running === 1);
    const joining = fleet.solver.newJob("joining");
    const built = joining.build(edge(step("second")), { signal });
    // It has joined once its progress says that it waits.
    for await (const { vertexes } of joining.progress(signal)) if (vertexes.some(({ cached }) => cached)) break;
    gate.resolve();
    await built;
    const seen = joining.outcomes().map((outcome) => [outcome.digest, outcome.how]);
    assert.deepEqual(seen, [
      [sha256("first"), "ran"],
      [sha256("second"), "joined"],
    ]);
    await joining.discard();
    assert.equal((await one).get("step")?.how, "ran");
  });
});
