import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sha256 } from "../../../../src/core/values/digest.ts";
import {
  CacheManager,
  exportCacheKeys,
  ImportedCacheKeyStorage,
  type ImportedRecord,
  rootKey,
} from "../../../../src/solver/index.ts";
import {
  buildOnce,
  edge,
  MemoryResults,
  type NumberResult,
  numberSolver,
  vertex,
} from "../../../helpers/number-graph.ts";

describe("ImportedCacheKeyStorage", () => {
  it("serves another solver with what one has exported", async () => {
    const graph = (source: string) => {
      const image = vertex({ name: source, compute: () => 1 });
      const copy = vertex({ name: "copy", inputs: [edge(image)], content: [0], selectors: { 0: "s" } });
      const sum = vertex({ name: "sum", inputs: [edge(copy), edge(image)], compute: ([a = 0, b = 0]) => a + b + 40 });
      return { image, copy, sum, top: vertex({ name: "top", inputs: [edge(sum)] }) };
    };
    const stored = new MemoryResults();
    const records: ImportedRecord[] = [];
    const { solver } = numberSolver();
    const job = solver.newJob("1");
    const { cacheKeys } = await job.build(edge(graph("image").top), { signal: new AbortController().signal });
    await exportCacheKeys<NumberResult, number, NumberResult>(cacheKeys, {
      mode: "max",
      resolve: async (result) => {
        assert.ok("live" in result);
        return [result.live];
      },
      target: {
        add: (digest, inputs, results) => {
          const links = inputs.map((alternatives) =>
            alternatives.map(({ record, selector }) => ({ link: record, selector })),
          );
          const saved = results.map(({ content, createdAt }) => ({ id: content.id, createdAt }));
          for (const { content, createdAt } of results) stored.save(content, createdAt);
          return records.push({ digest, inputs: links, results: saved }) - 1;
        },
      },
    });
    await job.discard();

    const imported = () =>
      new CacheManager({ id: "imported", keys: new ImportedCacheKeyStorage(records), results: stored });
    const same = graph("image");
    const here = numberSolver();
    assert.equal(await buildOnce(here, same.top, { caches: [imported()] }), 42);
    assert.deepEqual(
      [same.image, same.copy, same.sum, same.top].map((v) => v.payload.execs),
      [0, 0, 0, 0],
    );
    assert.equal(await buildOnce(numberSolver(here), graph("image").top), 42, "the hit is in the local store");

    const other = graph("other image");
    const copyOnly = vertex({ name: "user", inputs: [edge(other.copy)] });
    assert.equal(await buildOnce(numberSolver(), copyOnly, { caches: [imported()] }), 1);
    assert.deepEqual(
      [other.image, other.copy, copyOnly].map((v) => v.payload.execs),
      [1, 0, 1],
      "found by content",
    );
  });

  it("leads through keys without results, whose inputs are not run for their content", async () => {
    const image = vertex({ name: "image", compute: () => 1 });
    const step = vertex({ name: "step", inputs: [edge(image)] });
    const copy = vertex({ name: "copy", inputs: [edge(step)], content: [0], selectors: { 0: "s" } });
    const top = vertex({ name: "top", inputs: [edge(copy)] });
    const key = (name: string) => rootKey(sha256(`number ${name}`), 0);
    const content = rootKey(sha256("content 1"), -1);
    const stored = new MemoryResults();
    await stored.save({ id: "found", value: 7, layers: ["found"] }, 1);
    const keys = new ImportedCacheKeyStorage([
      { digest: key("image"), inputs: [], results: [] },
      { digest: key("step"), inputs: [[{ link: 0, selector: "" }]], results: [] },
      { digest: content, inputs: [], results: [] },
      {
        digest: key("copy"),
        inputs: [
          [
            { link: 1, selector: sha256("s") },
            { link: 2, selector: "" },
          ],
        ],
        results: [],
      },
      { digest: key("top"), inputs: [[{ link: 3, selector: "" }]], results: [{ id: "found", createdAt: 1 }] },
    ]);
    const minimal = new CacheManager({ id: "minimal", keys, results: stored });
    assert.equal(await buildOnce(numberSolver(), top, { caches: [minimal] }), 7);
    assert.deepEqual(
      [image, step, copy, top].map((v) => v.payload.execs),
      [0, 0, 0, 0],
    );
    const backlinks = await keys.backlinks((await keys.links(key("image"), linkTo("step")))[0] ?? "");
    assert.deepEqual(backlinks, [{ key: key("image"), input: 0, selector: "", rootKey: key("step") }]);
  });

  it("keeps records apart that share a digest, and forgets released results", async () => {
    const digest = rootKey(sha256("op"), 0);
    const storage = new ImportedCacheKeyStorage([
      { digest: sha256("a"), inputs: [], results: [] },
      { digest: sha256("b"), inputs: [], results: [] },
      { digest, inputs: [[{ link: 0, selector: "" }]], results: [{ id: "ra", createdAt: 1 }] },
      { digest, inputs: [[{ link: 1, selector: "" }]], results: [{ id: "rb", createdAt: 2 }] },
    ]);
    const link = { input: 0, output: 0, digest: sha256("op"), selector: "" };
    const [fromA] = await storage.links(sha256("a"), link);
    const [fromB] = await storage.links(sha256("b"), link);
    assert.deepEqual(await storage.results(fromA ?? ""), [{ id: "ra", createdAt: 1 }]);
    assert.deepEqual(await storage.results(fromB ?? ""), [{ id: "rb", createdAt: 2 }]);
    await storage.release("ra");
    assert.deepEqual(await storage.results(fromA ?? ""), []);
    assert.equal(await storage.exists(sha256("a")), true);
    assert.deepEqual(await storage.links(sha256("a"), { ...link, output: 1 }), []);
    assert.throws(
      () => new ImportedCacheKeyStorage([{ digest, inputs: [[{ link: 9, selector: "" }]], results: [] }]),
      RangeError,
    );
  });
});

function linkTo(name: string) {
  return { input: 0, output: 0, digest: sha256(`number ${name}`), selector: "" };
}
