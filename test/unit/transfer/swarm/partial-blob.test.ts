import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { PiecePool } from "../../../../src/transfer/piece-pool.ts";
import { PartialBlob } from "../../../../src/transfer/swarm/partial-blob.ts";
import { collect } from "../../../helpers/collect.ts";
import { incompressible } from "../../../helpers/swarm/incompressible.ts";

/** More than is kept in memory. */
const chunks = 45;
const data = await collect(incompressible((chunks << 20) - 1000, 2));
const forever = new AbortController().signal;

async function withPartial(use: (partial: PartialBlob, put: (chunk: number) => Promise<boolean>) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-partial-"));
  try {
    const pool = new PiecePool();
    await using partial = await PartialBlob.create(sha256(data), data.length, join(directory, "blob"), pool);
    await use(partial, async (chunk) => {
      const length = partial.layout.length(chunk);
      const pieces = pool.take(length);
      const bytes = data.subarray(partial.layout.start(chunk), partial.layout.start(chunk) + length);
      let at = 0;
      for (const piece of pieces) {
        piece.set(bytes.subarray(at, at + piece.length));
        at += piece.length;
      }
      const isKept = await partial.put(chunk, pieces);
      if (!isKept) pool.give(pieces);
      return isKept;
    });
    await partial[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(directory), []);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe("PartialBlob", () => {
  it("gives its bytes in order, in whatever order its chunks come", () =>
    withPartial(async (partial, put) => {
      const reading = collect(partial.read(0, forever));
      for (let chunk = chunks - 1; chunk >= 0; chunk--) assert.equal(await put(chunk), true);
      assert.ok((await reading).equals(data));
      assert.ok((await collect(partial.read(3_000_007, forever))).equals(data.subarray(3_000_007)));
    }));

  it("gives the same to all its readers, fast and slow", () =>
    withPartial(async (partial, put) => {
      const slow = partial.read(0, forever);
      await put(0);
      const first = await slow.next();
      assert.ok(first.done !== true);
      const fast = [collect(partial.read(0, forever)), collect(partial.read(0, forever))];
      for (let chunk = 1; chunk < chunks; chunk++) await put(chunk);
      for (const reading of fast) assert.ok((await reading).equals(data));
      const head = Buffer.from(first.value);
      assert.ok(head.equals(data.subarray(0, head.length)), "what a reader still has was used for something else");
      assert.ok(Buffer.concat([head, await collect(slow)]).equals(data));
    }));

  it("keeps a chunk once", () =>
    withPartial(async (partial, put) => {
      assert.deepEqual((await Promise.all([put(3), put(3)])).sort(), [false, true]);
      assert.equal(await put(3), false);
      assert.equal(partial.have.size, 1);
      assert.equal(partial.covers(3 << 20, 4 << 20), true);
      assert.equal(partial.covers(3 << 20, (4 << 20) + 1), false);
    }));
});
