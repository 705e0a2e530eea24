import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sha256 } from "../../../src/core/values/digest.ts";
import { ChunkCompressor, decompressed } from "../../../src/transfer/wire-compression.ts";
import { collect } from "../../helpers/collect.ts";
import { incompressible } from "../../helpers/swarm/incompressible.ts";

const mebibyte = 1 << 20;
const chunk = (index: number) => ({ start: index * mebibyte, end: (index + 1) * mebibyte });

async function withFile(data: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-compression-"));
  try {
    const path = join(directory, "blob");
    await writeFile(path, data);
    await use(path);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe("ChunkCompressor", () => {
  const text = Buffer.from(Array.from({ length: 300_000 }, (_, line) => `line ${line}\n`).join("")).subarray(
    0,
    3 << 20,
  );

  it("makes a part smaller, once for all who ask for it", () =>
    withFile(text, async (path) => {
      const compressor = new ChunkCompressor();
      const ask = () => compressor.compressed(sha256(text), path, chunk(1));
      const [one, other] = await Promise.all([ask(), ask()]);
      assert.ok(one !== undefined && one.length < mebibyte / 1.2);
      assert.equal(one, other);
      assert.equal(await ask(), one);
      const part = text.subarray(mebibyte, 2 * mebibyte);
      assert.ok(part.equals(await decompressed(one, mebibyte)));
      await assert.rejects(decompressed(one, mebibyte - 1));
    }));

  it("lets alone what does not get smaller, and, for a while, what comes after it", async () => {
    const data = Buffer.concat([await collect(incompressible(mebibyte, 1)), Buffer.alloc(20 << 20, "compressible ")]);
    await withFile(data, async (path) => {
      const compressor = new ChunkCompressor();
      const isSmaller = async (index: number) =>
        (await compressor.compressed(sha256("blob"), path, chunk(index))) !== undefined;
      assert.equal(await isSmaller(0), false);
      const after: boolean[] = [];
      for (let index = 1; index <= 20; index++) after.push(await isSmaller(index));
      assert.deepEqual(after, [...Array(15).fill(false), ...Array(5).fill(true)]);
      // Another blob is another matter.
      assert.ok(await compressor.compressed(sha256("other"), path, chunk(1)));
    });
  });

  it("takes no part that is larger than a chunk, and fails with the file", () =>
    withFile(Buffer.alloc(10 << 20), async (path) => {
      const compressor = new ChunkCompressor();
      assert.equal(await compressor.compressed(sha256("x"), path, { start: 0, end: 9 << 20 }), undefined);
      const gone = () => compressor.compressed(sha256("x"), `${path}-gone`, chunk(0));
      await assert.rejects(gone(), { code: "ENOENT" });
      await assert.rejects(gone(), { code: "ENOENT" });
    }));
});
