import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { layerBatches } from "../../../src/cache/index.ts";

const mebibyte = 1 << 20;
const batches = (layers: readonly (readonly [holder: string, mebibytes: number])[]) =>
  layerBatches(layers, ([holder, mebibytes]) => ({ holder, sizeBytes: mebibytes * mebibyte }));

describe("layerBatches()", () => {
  it("puts small layers of one agent together", () => {
    assert.deepEqual(
      batches([
        ["a", 1],
        ["b", 1],
        ["a", 2],
        ["", 0],
      ]),
      [
        [
          ["a", 1],
          ["a", 2],
        ],
        [["b", 1]],
        [["", 0]],
      ],
    );
  });

  it("leaves large layers alone", () => {
    const sizes = batches([
      ["a", 500],
      ["a", 1],
      ["a", 12],
      ["a", 12],
    ]).map((batch) => batch.map(([, size]) => size));
    assert.deepEqual(sizes, [[500], [1, 12], [12]]);
  });

  it("bounds how many go together", () => {
    const many = batches(Array.from({ length: 100 }, () => ["a", 0] as const));
    assert.ok(many.length > 1 && many.every(({ length }) => length <= 32));
    assert.equal(many.flat().length, 100);
    assert.deepEqual(batches([]), []);
  });
});
