import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Vertex } from "../../../src/core/seams/op.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import { type CacheExportMode, type CacheKey, exportCacheKeys, rootKey } from "../../../src/solver/index.ts";
import { edge, type NumberResult, type NumberSolver, numberSolver, vertex } from "../../helpers/number-graph.ts";

interface Exported {
  readonly digest: string;
  /** By input: `digest selector`. */
  readonly inputs: Set<string>[];
  readonly values: Set<number | string>;
}

/** Joins records by digest, as cache formats do. */
class Collected {
  readonly records = new Map<string, Exported>();

  add(
    digest: Digest,
    inputs: readonly (readonly { record: Exported; selector: string }[])[],
    results: readonly { content: number | string }[],
  ): Exported {
    const record = this.records.get(digest) ?? {
      digest,
      inputs: inputs.map(() => new Set<string>()),
      values: new Set(),
    };
    this.records.set(digest, record);
    for (const [i, links] of inputs.entries()) {
      for (const link of links) record.inputs[i]?.add(`${link.record.digest} ${link.selector}`);
    }
    for (const { content } of results) record.values.add(content);
    return record;
  }
}

async function exported(
  { solver }: NumberSolver,
  of: Vertex,
  mode: CacheExportMode = "max",
  fetchable: (value: number | string) => boolean = () => false,
) {
  const job = solver.newJob("export");
  const target = new Collected();
  try {
    const { cacheKeys } = await job.build(edge(of), { signal: new AbortController().signal });
    const [first] = cacheKeys;
    await exportCacheKeys<NumberResult, Exported, number | string>([first as CacheKey<NumberResult>], {
      target,
      mode,
      resolve: async (result, { onlyRemote }) => {
        const content = "live" in result ? result.live.value : result.record.id;
        return onlyRemote && !fetchable(content) ? [] : [content];
      },
    });
  } finally {
    await job.discard();
  }
  return target.records;
}

const recordOf = (key: string) => rootKey(sha256(`number ${key}`), 0);
const contentOf = (value: number) => rootKey(sha256(`content ${value}`), -1);

describe("exportCacheKeys", () => {
  const image = (name = "image") => vertex({ name, keys: [name, "config"], compute: () => 1 });

  it("gives the chain with selectors, content links and all keys of a source", async () => {
    const a = vertex({ name: "a", inputs: [edge(image())], selectors: { 0: "s" }, content: [0] });
    const records = await exported(numberSolver(), vertex({ name: "b", inputs: [edge(a)], compute: () => 2 }));
    assert.deepEqual(
      [...records.keys()].sort(),
      [recordOf("image"), recordOf("config"), contentOf(1), recordOf("a"), recordOf("b")].sort(),
    );
    assert.deepEqual(records.get(recordOf("a"))?.inputs, [
      new Set([`${recordOf("image")} ${sha256("s")}`, `${recordOf("config")} ${sha256("s")}`, `${contentOf(1)} `]),
    ]);
    assert.deepEqual([...(records.get(recordOf("b"))?.values ?? [])], [2]);
    assert.deepEqual([...(records.get(recordOf("image"))?.values ?? [])], [], "no results for ops without inputs");
  });

  it("gives the same for a build that was all cached", async () => {
    const graph = () => {
      const a = vertex({ name: "a", inputs: [edge(image())] });
      return vertex({ name: "b", inputs: [edge(a)], compute: () => 2 });
    };
    const first = numberSolver();
    const cold = await exported(first, graph());
    const warm = await exported(numberSolver(first), graph());
    const shape = (records: typeof cold) =>
      [...records.values()].map(({ digest, inputs }) => ({ digest, inputs })).sort(byDigest);
    assert.deepEqual(shape(warm), shape(cold));
    assert.equal(warm.get(recordOf("a"))?.values.size, 1, "found in the store though this build did not load it");
  });

  it("makes nothing below the topmost result fetchable in mode min", async () => {
    const a = vertex({ name: "a", inputs: [edge(image())], compute: () => 5 });
    const b = vertex({ name: "b", inputs: [edge(a)], compute: () => 6 });
    const c = vertex({ name: "c", inputs: [edge(b)], compute: () => 7 });
    const records = await exported(numberSolver(), c, "min", (value) => value === 5);
    assert.deepEqual(
      ["a", "b", "c"].map((key) => [...(records.get(recordOf(key))?.values ?? [])]),
      [[5], [], [7]],
    );
  });

  it("withholds results by export_cache only where the build had no need of them", async () => {
    const graph = () => {
      const a = vertex({ name: "a", inputs: [edge(image())], compute: () => 5 });
      const withheld = { ...a, options: { ...a.options, exportCache: false } };
      return vertex({ name: "b", inputs: [edge(withheld)], compute: () => 6 });
    };
    const first = numberSolver();
    const cold = await exported(first, graph());
    assert.equal(cold.get(recordOf("a"))?.values.size, 1);
    const warm = await exported(numberSolver(first), graph());
    assert.equal(warm.get(recordOf("a"))?.values.size, 0);
    assert.equal(warm.get(recordOf("b"))?.values.size, 1);
  });

  it("gives the graphs that an op built on its way", async () => {
    const setup = numberSolver();
    const inner = vertex({ name: "inner", inputs: [edge(image())], compute: () => 3 });
    const outer: Vertex = vertex({
      name: "outer",
      inputs: [edge(image())],
      during: async ({ signal }) => {
        await setup.solver.buildNested(outer, edge(inner), { signal });
      },
    });
    const records = await exported(setup, vertex({ name: "top", inputs: [edge(outer)] }));
    assert.deepEqual([...(records.get(recordOf("inner"))?.values ?? [])], [3]);
    assert.deepEqual(records.get(recordOf("top"))?.inputs, [
      new Set([`${recordOf("outer")} `, `${recordOf("inner")} `]),
    ]);
  });

  it("leaves out what only one session can know", async () => {
    const local = vertex({ name: "local", random: true, compute: () => 1 });
    assert.equal((await exported(numberSolver(), vertex({ name: "run", inputs: [edge(local)] }))).size, 0);
    const copy = vertex({ name: "copy", inputs: [edge(local)], content: [0] });
    const records = await exported(numberSolver(), copy);
    assert.deepEqual(records.get(recordOf("copy"))?.inputs, [new Set([`${contentOf(1)} `])]);
  });

  it("gives the ways of all edges with an equal key", async () => {
    const copy = (of: string) =>
      vertex({ name: "copy", inputs: [edge(vertex({ name: of, compute: () => 3 }))], content: [0] });
    const top = vertex({ name: "top", inputs: [edge(copy("x")), edge(copy("y"))] });
    const records = await exported(numberSolver(), top);
    assert.deepEqual(records.get(recordOf("copy"))?.inputs, [
      new Set([`${recordOf("x")} `, `${recordOf("y")} `, `${contentOf(3)} `]),
    ]);
  });

  it("comes to an end where a copy of a copy has the key of the first", async () => {
    const first = numberSolver();
    const one = vertex({ name: "copy", inputs: [edge(image())], content: [0] });
    const two = vertex({ name: "copy", inputs: [edge(one)], content: [0] });
    const records = await exported(first, two);
    assert.ok(records.has(recordOf("copy")));
    assert.equal((await exported(numberSolver(first), two)).size, records.size);
  });

  /** Six vertices one above the other, the first an image. */
  async function chainKeys(setup: NumberSolver): Promise<readonly CacheKey<NumberResult>[]> {
    let top = image();
    for (let i = 0; i < 5; i++) top = vertex({ name: `step ${i}`, inputs: [edge(top)], compute: () => i });
    const { cacheKeys } = await setup.solver.newJob("chain").build(edge(top), { signal: new AbortController().signal });
    return cacheKeys.slice(0, 1);
  }

  it("has all results of a chain made at the same time", async () => {
    const keys = await chainKeys(numberSolver());
    let waiting = 0;
    const all = Promise.withResolvers<void>();
    const target = new Collected();
    await exportCacheKeys<NumberResult, Exported, number>(keys, {
      target,
      mode: "max",
      resolve: async (result) => {
        if (++waiting === 5) all.resolve();
        await all.promise;
        return "live" in result ? [Number(result.live.value)] : [];
      },
    });
    const values = ["step 0", "step 1", "step 2", "step 3", "step 4"].map((name) => [
      ...(target.records.get(recordOf(name))?.values ?? []),
    ]);
    assert.deepEqual(values, [[0], [1], [2], [3], [4]]);
  });

  it("fails with the first result that cannot be made, once nothing runs any more", async () => {
    const keys = await chainKeys(numberSolver());
    let running = 0;
    const failing = exportCacheKeys<NumberResult, Exported, number>(keys, {
      target: new Collected(),
      mode: "max",
      resolve: async (result) => {
        running++;
        await new Promise(setImmediate);
        running--;
        if ("live" in result && result.live.value === 2) throw new Error("disk full");
        return [1];
      },
    });
    await assert.rejects(failing, { message: "disk full" });
    assert.equal(running, 0);
  });
});

function byDigest(a: { digest: string }, b: { digest: string }): number {
  return a.digest < b.digest ? -1 : 1;
}
