import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { CombinedCacheManager } from "../../../src/solver/index.ts";
import {
  buildOnce,
  edge,
  type NumberSolver,
  numberCache,
  numberSolver,
  results,
  vertex,
} from "../../helpers/number-graph.ts";

async function allKeys({ keys }: NumberSolver): Promise<string[]> {
  const all: string[] = [];
  for await (const key of keys.keys()) all.push(key);
  return all;
}

describe("Solver cache", () => {
  afterEach(() => {
    assert.equal(results.live.size, 0, "results left");
  });

  const constant = (value: number, more: object = {}) =>
    vertex({ name: `const ${value}`, compute: () => value, ...more });

  it("runs each vertex once and serves the second build from cache", async () => {
    const first = numberSolver();
    const a = constant(1);
    const b = vertex({ name: "b", inputs: [edge(a), edge(a)] });
    const c = vertex({ name: "c", inputs: [edge(b), edge(a)] });
    assert.equal(await buildOnce(first, c), 3);
    assert.deepEqual(
      [a, b, c].map((v) => v.payload.execs),
      [1, 1, 1],
    );
    assert.equal(await buildOnce(numberSolver(first), c), 3);
    assert.deepEqual(
      [a, b, c].map((v) => v.payload.execs),
      [1, 1, 1],
    );
    assert.equal(first.stored.loads, 1, "only the sink is loaded");
  });

  it("answers a cached chain of a thousand vertices without running or loading what lies below", async () => {
    const chain = () => {
      let last = constant(1);
      const all = [last];
      for (let i = 0; i < 1_000; i++) {
        last = vertex({ name: `step ${i}`, inputs: [edge(last)] });
        all.push(last);
      }
      return { last, all };
    };
    const first = numberSolver();
    assert.equal(await buildOnce(first, chain().last), 1);
    const again = chain();
    assert.equal(await buildOnce(numberSolver(first), again.last), 1);
    assert.equal(
      again.all.reduce((sum, v) => sum + v.payload.execs, 0),
      0,
    );
    assert.equal(first.stored.loads, 1);
  });

  it("continues from the last step that is cached", async () => {
    const first = numberSolver();
    const a = constant(5);
    const b = vertex({ name: "b", inputs: [edge(a)] });
    await buildOnce(first, b);
    const c = vertex({ name: "c", inputs: [edge(b)] });
    assert.equal(await buildOnce(numberSolver(first), c), 5);
    assert.deepEqual(
      [a, b, c].map((v) => v.payload.execs),
      [1, 1, 1],
    );
  });

  it("runs a step again when its input changed", async () => {
    const first = numberSolver();
    await buildOnce(first, vertex({ name: "s", inputs: [edge(constant(1))] }));
    const changed = vertex({ name: "s", inputs: [edge(constant(2))] });
    assert.equal(await buildOnce(numberSolver(first), changed), 2);
    assert.equal(changed.payload.execs, 1);
  });

  it("stops at equal content, and finds it by definition the next time", async () => {
    const first = numberSolver();
    const graph = (source: string) => {
      const local = vertex({ name: source, random: true, compute: () => 7 });
      const copy = vertex({ name: "copy", inputs: [edge(local)], content: [0] });
      const run = vertex({ name: "run", inputs: [edge(copy)] });
      return { local, copy, run };
    };
    await buildOnce(first, graph("session 1").run);
    const second = graph("session 2");
    assert.equal(await buildOnce(numberSolver(first), second.run), 7);
    assert.deepEqual(
      [second.local, second.copy, second.run].map((v) => v.payload.execs),
      [1, 0, 0],
    );
    assert.equal(second.copy.payload.contents, 1);
  });

  it("learns from a content match that other definitions lead to the same", async () => {
    const first = numberSolver();
    const graph = (source: string) => {
      const image = vertex({ name: source, compute: () => 7 });
      const copy = vertex({ name: "copy", inputs: [edge(image)], content: [0] });
      return { image, copy, run: vertex({ name: "run", inputs: [edge(copy)] }) };
    };
    await buildOnce(first, graph("image 1").run);
    const second = graph("image 2");
    await buildOnce(numberSolver(first), second.run);
    assert.deepEqual(
      [second.image, second.copy, second.run].map((v) => v.payload.execs),
      [1, 0, 0],
    );
    const third = graph("image 2");
    await buildOnce(numberSolver(first), third.run);
    assert.deepEqual(
      [third.image, third.copy, third.run].map((v) => v.payload.execs),
      [0, 0, 0],
    );
    assert.equal(third.copy.payload.contents, 0);
  });

  it("keeps content apart when a step that is not reproducible ran again", async () => {
    const first = numberSolver();
    const graph = (value: number, ignoreCache: boolean) => {
      const date = vertex({ name: "date", compute: () => value, ignoreCache });
      const copy = vertex({ name: "copy", inputs: [edge(date)], content: [0] });
      return { date, copy };
    };
    await buildOnce(first, graph(1, false).copy);
    const again = graph(2, true);
    assert.equal(await buildOnce(numberSolver(first), again.copy), 2);
    assert.equal(again.copy.payload.execs, 1);
    // Content 1 was copied before: the record of that time still answers for it.
    const back = graph(1, true);
    assert.equal(await buildOnce(numberSolver(first), back.copy), 1);
    assert.equal(back.copy.payload.execs, 0);
  });

  it("uses the second cache map of a source when the first leads nowhere", async () => {
    const first = numberSolver();
    const image = (manifest: string) => vertex({ name: manifest, keys: [manifest, "config"], compute: () => 3 });
    await buildOnce(first, vertex({ name: "run", inputs: [edge(image("manifest 1"))] }));
    const other = image("manifest 2");
    const run = vertex({ name: "run", inputs: [edge(other)] });
    assert.equal(await buildOnce(numberSolver(first), run), 3);
    assert.deepEqual([other.payload.execs, run.payload.execs], [0, 0]);
    const same = image("manifest 1");
    await buildOnce(numberSolver(first), vertex({ name: "run", inputs: [edge(same)] }));
    assert.equal(same.payload.maps, 1, "the second map is not loaded when the first leads to a record");
  });

  it("tells outputs and selectors apart", async () => {
    const first = numberSolver();
    const a = vertex({ name: "a", compute: () => 10, outputs: 2 });
    assert.equal(await buildOnce(first, edge(a, 1)), 11);
    assert.equal(await buildOnce(first, edge(a, 0)), 10);
    const pick = (selector: string, output: number) =>
      vertex({ name: "pick", inputs: [edge(a, output)], selectors: { 0: selector }, digest: `${selector} ${output}` });
    assert.equal(await buildOnce(numberSolver(first), pick("x", 0)), 10);
    const other = pick("y", 0);
    assert.equal(await buildOnce(numberSolver(first), other), 10);
    assert.equal(other.payload.execs, 1);
  });

  it("prefers the newest record and falls back when it cannot be loaded", async () => {
    const first = numberSolver();
    let value = 1;
    const make = (ignoreCache: boolean) => vertex({ name: "v", compute: () => value, ignoreCache });
    await buildOnce(first, make(false));
    value = 2;
    await buildOnce(numberSolver(first), make(true));
    value = 3;
    // Clocks of both solvers start alike: make the order certain.
    const [older, newer] = first.stored.ids();
    assert.ok(older !== undefined && newer !== undefined);
    const key = (await allKeys(first))[0] ?? "";
    await first.keys.addResult(key, { id: newer, createdAt: 9_999 });
    assert.equal(await buildOnce(numberSolver(first), make(false)), 2);
    first.stored.broken.add(newer);
    assert.equal(await buildOnce(numberSolver(first), make(false)), 1);
    first.stored.forget(older);
    const rerun = make(false);
    assert.equal(await buildOnce(numberSolver(first), rerun), 3);
    assert.equal(rerun.payload.execs, 1);
  });

  it("ignores cache where told, stores the run, and lets steps above match by content", async () => {
    const first = numberSolver();
    const graph = (ignoreCache: boolean) => {
      const a = vertex({ name: "a", compute: () => 4, ignoreCache });
      const byKey = vertex({ name: "by key", inputs: [edge(a)] });
      const byContent = vertex({ name: "by content", inputs: [edge(a)], content: [0] });
      return { a, byKey, byContent, top: vertex({ name: "top", inputs: [edge(byKey), edge(byContent)] }) };
    };
    await buildOnce(first, graph(false).top);
    const second = graph(true);
    assert.equal(await buildOnce(numberSolver(first), second.top), 8);
    assert.deepEqual(
      [second.a, second.byKey, second.byContent].map((v) => v.payload.execs),
      [1, 1, 0],
    );
    const third = graph(false);
    await buildOnce(numberSolver(first), third.top);
    assert.deepEqual(
      [third.a, third.top].map((v) => v.payload.execs),
      [0, 0],
    );
  });

  it("goes below a step whose result was pruned only as far as needed", async () => {
    const first = numberSolver();
    const a = constant(1);
    const b = vertex({ name: "b", inputs: [edge(a)], compute: () => 2 });
    const c = vertex({ name: "c", inputs: [edge(b)], compute: () => 3 });
    await buildOnce(first, c);
    const [, ofB, ofC] = first.stored.ids();
    first.stored.forget(ofC ?? "");
    assert.equal(await buildOnce(numberSolver(first), c), 3);
    assert.deepEqual(
      [a, b, c].map((v) => v.payload.execs),
      [1, 1, 2],
    );
    first.stored.forget(ofB ?? "");
    const d = vertex({ name: "d", inputs: [edge(c)] });
    await buildOnce(numberSolver(first), d);
    assert.deepEqual(
      [a, b, c].map((v) => v.payload.execs),
      [1, 1, 2],
      "c is cached, b is not needed",
    );
  });

  it("hits an imported cache and copies the hit into the local one", async () => {
    const remote = numberCache("remote");
    const elsewhere = numberSolver({ ...numberSolver(), cache: remote });
    const make = () => {
      const a = constant(1);
      return { a, b: vertex({ name: "b", inputs: [edge(a)] }) };
    };
    await buildOnce(elsewhere, make().b);
    const here = numberSolver();
    const second = make();
    assert.equal(await buildOnce(here, second.b, { caches: [remote] }), 1);
    assert.equal(second.b.payload.execs, 0);
    const third = make();
    await buildOnce(numberSolver(here), third.b);
    assert.equal(third.b.payload.execs, 0);
  });

  it("builds without an imported cache that fails", async () => {
    const broken = numberCache("broken");
    broken.keys.exists = async () => {
      throw new Error("offline");
    };
    assert.equal(await buildOnce(numberSolver(), constant(1), { caches: [broken] }), 1);
    const main = numberCache("main");
    main.keys.exists = broken.keys.exists;
    const combined = new CombinedCacheManager({ main, imported: [], logger: silentLogger });
    await assert.rejects(combined.root(constant(1).digest, 0), /offline/);
  });

  it("never stores a random key", async () => {
    const first = numberSolver();
    const local = vertex({ name: "local", random: true, compute: () => 1 });
    await buildOnce(first, vertex({ name: "run", inputs: [edge(local)] }));
    assert.deepEqual(await allKeys(first), []);
    assert.deepEqual(first.stored.ids(), []);
  });
});
