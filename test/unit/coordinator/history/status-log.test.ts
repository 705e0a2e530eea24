import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeStatusLog, encodeStatusLog } from "../../../../src/coordinator/history/status-log.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { collect, progressOf } from "./history-setup.ts";

async function encoded(): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const batch of progressOf(100)) parts.push(...encodeStatusLog(batch));
  return Buffer.concat(parts);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("status log", () => {
  for (const size of [1, 3, 1000, 1 << 20]) {
    it(`comes back whole in pieces of ${size} bytes`, async () => {
      const batches = await collect(decodeStatusLog(inPieces(await encoded(), size)));
      assert.deepEqual(structuredClone(batches), structuredClone(await collect(progressOf(100))));
    });
  }

  it("begins with the length of the first message", async () => {
    const log = await encoded();
    const first = log.readUInt32LE(0);
    assert.ok(first > 0 && first < log.length);
    assert.equal(log[4], 0x0a, "field 1 of StatusResponse");
  });

  it("refuses a log that is cut short or is none", async () => {
    const log = await encoded();
    const cut = { code: Code.DataLoss };
    await assert.rejects(collect(decodeStatusLog(inPieces(log.subarray(0, -1), 64))), cut);
    await assert.rejects(collect(decodeStatusLog(inPieces(Buffer.from("no status log"), 64))), cut);
  });
});
