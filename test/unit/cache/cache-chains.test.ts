import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkCacheConfig } from "../../../src/cache/check-cache-config.ts";
import { type BlobChain, CacheChains, type ChainItem } from "../../../src/cache/index.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";

const chain = (...names: string[]): BlobChain =>
  names.map((name) => ({ descriptor: { mediaType: MediaType.ociLayerGzip, digest: sha256(name), size: 1 } }));
const result = (createdAt: number, ...names: string[]) => ({ content: chain(...names), createdAt });
const link = (record: ChainItem | undefined, selector = "") => {
  assert.ok(record);
  return { record, selector };
};

describe("CacheChains", () => {
  it("joins records of one digest to which the same inputs lead", () => {
    const chains = new CacheChains();
    const [a, b] = [chains.add(sha256("a"), [], []), chains.add(sha256("b"), [], [])];
    const first = chains.add(sha256("op"), [[link(a)]], [result(1, "x")]);
    const again = chains.add(sha256("op"), [[link(a), link(b)]], [result(2, "y")]);
    const other = chains.add(sha256("op"), [[link(chains.add(sha256("c"), [], []))]], []);
    assert.equal(first, again);
    assert.notEqual(first, other);
    const { config } = chains.layout();
    const ops = config.records.filter(({ digest }) => digest === sha256("op"));
    assert.deepEqual(
      ops.map(({ inputs }) => inputs[0]?.length),
      [1, 2],
    );
    assert.deepEqual(
      ops.map(({ results }) => results.map(({ createdAt }) => createdAt)),
      [[], [2]],
      "the newest result only",
    );
  });

  it("makes one of two records when a third key equals both", () => {
    const chains = new CacheChains();
    const [a, b] = [chains.add(sha256("a"), [], []), chains.add(sha256("b"), [], [])];
    const one = chains.add(sha256("op"), [[link(a)]], []);
    const two = chains.add(sha256("op"), [[link(b)]], []);
    chains.add(sha256("top"), [[link(two)]], [result(1, "x")]);
    chains.add(sha256("op"), [[link(a), link(b)]], []);
    const { config } = chains.layout();
    assert.equal(config.records.filter(({ digest }) => digest === sha256("op")).length, 1);
    const top = config.records.find(({ digest }) => digest === sha256("top"));
    assert.equal(top?.inputs[0]?.length, 1);
    assert.ok(one);
  });

  it("leaves out a link that would close a circle", () => {
    const chains = new CacheChains();
    const root = chains.add(sha256("root"), [], []);
    const low = chains.add(sha256("low"), [[link(root)]], []);
    const high = chains.add(sha256("high"), [[link(low)]], [result(1, "x")]);
    assert.equal(chains.add(sha256("low"), [[link(root), link(high)]], []), low);
    const { config } = chains.layout();
    checkCacheConfig(config);
    assert.equal(config.records.length, 3);
  });

  it("shares layers and keeps what they stand on apart", () => {
    const chains = new CacheChains();
    const root = chains.add(sha256("root"), [], []);
    chains.add(sha256("a"), [[link(root)]], [result(1, "base", "x")]);
    chains.add(sha256("b"), [[link(root)]], [result(1, "base", "x", "y")]);
    chains.add(sha256("c"), [[link(root)]], [result(1, "other", "x")]);
    const { config, layers } = chains.layout();
    assert.deepEqual(
      layers.map(({ descriptor }) => descriptor.digest).sort(),
      ["base", "other", "x", "x", "y"].map((name) => sha256(name)).sort(),
    );
    assert.equal(config.layers.filter(({ parent }) => parent === -1).length, 2);
  });

  it("lays out the same whatever the order of what was added", () => {
    const names = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { minLength: 1, maxLength: 8 });
    const graph = names.chain((ops) =>
      fc.tuple(
        fc.constant(ops),
        fc.array(fc.array(fc.array(fc.nat(7), { minLength: 1, maxLength: 2 }), { maxLength: 2 }), {
          minLength: ops.length,
          maxLength: ops.length,
        }),
      ),
    );
    const build = (ops: readonly string[], inputs: readonly (readonly (readonly number[])[])[], reverse: boolean) => {
      const chains = new CacheChains();
      const items: (ChainItem | undefined)[] = [];
      for (const [i, op] of ops.entries()) {
        // Only to what came before: a graph of keys.
        const slots = (inputs[i] ?? []).filter(() => i > 0);
        const links = slots.map((slot) => slot.map((to) => link(items[to % i], `s${to % 2}`)));
        const ordered = reverse ? links.map((slot) => [...slot].reverse()) : links;
        const twice = reverse ? 2 : 1;
        for (let n = 0; n < twice; n++) items[i] = chains.add(sha256(op), ordered, [result(i + 1, `layer ${op}`)]);
      }
      return chains.layout().config;
    };
    fc.assert(
      fc.property(graph, ([ops, inputs]) => {
        const config = build(ops, inputs, false);
        checkCacheConfig(config);
        assert.deepEqual(build(ops, inputs, true), config);
      }),
      { numRuns: 200 },
    );
  });

  it("takes ten thousand records in a row", () => {
    const chains = new CacheChains();
    for (let pass = 0; pass < 2; pass++) {
      let below = chains.add(sha256("root"), [], []);
      for (let i = 0; i < 10_000; i++) below = chains.add(sha256(`op ${i}`), [[link(below)]], [result(1, `l${i}`)]);
    }
    const { config } = chains.layout();
    assert.equal(config.records.length, 10_001);
    checkCacheConfig(config);
  });

  it("takes no random keys", () => {
    assert.equal(new CacheChains().add("random:1" as Digest, [], []), undefined);
  });
});
