import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { type BlobSource, resumingRead } from "../../../../src/worker-agent/layers/resuming-read.ts";

const data = Buffer.from("0123456789".repeat(10));
const blob = { digest: sha256(data), size: data.length };
const signal = new AbortController().signal;

/** Serves `bytes` from the asked offset, at most `limit` of them, then breaks or ends. */
function source(
  name: string,
  bytes: Uint8Array,
  limit = bytes.length,
  breaks = false,
): BlobSource & { offsets: number[] } {
  const offsets: number[] = [];
  return {
    name,
    offsets,
    async *open(offset) {
      offsets.push(offset);
      yield bytes.subarray(offset, Math.min(bytes.length, offset + limit));
      if (breaks) throw new BuildError(Code.Unavailable, `${name} broke`, { infrastructure: true });
    },
  };
}

async function read(...sources: BlobSource[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of resumingRead(blob, sources, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("resumingRead", () => {
  it("goes on at another source where the first broke", async () => {
    const first = source("a", data, 30, true);
    const second = source("b", data);
    assert.deepEqual(await read(first, second), data);
    assert.deepEqual(second.offsets, [30]);
  });

  it("gives each source a second chance", async () => {
    const only = source("a", data, 60, true);
    assert.deepEqual(await read(only), data);
    assert.deepEqual(only.offsets, [0, 60]);
  });

  it("goes on when a source ends early", async () => {
    assert.deepEqual(await read(source("a", data, 10), source("b", data)), data);
  });

  it("throws the last error when nobody has the rest", async () => {
    await assert.rejects(read(source("a", data, 10, true), source("b", data, 0, true)), /b broke/);
  });

  it("refuses content with another digest, and more content than announced", async () => {
    const wrong = Buffer.from(data);
    wrong[50] = 0;
    const isDataLoss = (error: unknown) => error instanceof BuildError && error.code === Code.DataLoss;
    await assert.rejects(read(source("liar", wrong)), isDataLoss);
    await assert.rejects(read(source("liar", Buffer.concat([data, data]))), isDataLoss);
  });

  it("stops when aborted", async () => {
    const abort = new AbortController();
    const reading = async () => {
      for await (const _ of resumingRead(blob, [source("a", data, 10, true)], abort.signal)) {
        abort.abort(new Error("enough"));
      }
    };
    await assert.rejects(reading(), /enough/);
  });
});
