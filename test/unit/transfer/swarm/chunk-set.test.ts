import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ChunkLayout } from "../../../../src/transfer/swarm/chunk-layout.ts";
import { ChunkSet } from "../../../../src/transfer/swarm/chunk-set.ts";

describe("ChunkSet", () => {
  it("is the same after a journey as text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.array(fc.nat(4000)), (count, chunks) => {
        const set = new ChunkSet(count);
        for (const chunk of chunks) set.add(chunk);
        const wanted = new Set(chunks.filter((chunk) => chunk < count));
        const copy = ChunkSet.decode(set.encode(), count);
        assert.equal(copy.size, wanted.size);
        for (let chunk = 0; chunk < count; chunk++) assert.equal(copy.has(chunk), wanted.has(chunk));
        assert.equal(copy.complete, wanted.size === count);
      }),
    );
  });

  it("takes any text without harm", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(100), (text, count) => {
        assert.ok(ChunkSet.decode(text, count).size <= count);
      }),
    );
  });
});

describe("ChunkLayout", () => {
  it("covers every byte once, in chunks of 1 to 8 MiB", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 38 }), (size) => {
        const layout = new ChunkLayout(size);
        assert.ok(layout.chunkBytes >= 1 << 20 && layout.chunkBytes <= 8 << 20);
        assert.equal(layout.start(layout.count - 1) + layout.length(layout.count - 1), size);
        assert.equal(layout.length(0), Math.min(size, layout.chunkBytes));
        assert.equal(layout.chunkAt(size - 1), layout.count - 1);
      }),
    );
  });
});
