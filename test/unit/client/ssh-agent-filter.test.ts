import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SshAgentFilter } from "../../../src/client/session/ssh-agent-filter.ts";

function message(type: number, ...body: readonly number[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + body.length);
  head[4] = type;
  return Buffer.concat([head, Buffer.from(body)]);
}

async function filter(...chunks: readonly Buffer[]): Promise<{ passed: Buffer; refusals: Buffer }> {
  const refused: Uint8Array[] = [];
  const stream = new SshAgentFilter((answer) => refused.push(answer));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  const passed: Buffer[] = [];
  for await (const chunk of stream) passed.push(chunk);
  return { passed: Buffer.concat(passed), refusals: Buffer.concat(refused) };
}

describe("SshAgentFilter", () => {
  it("lets list and sign pass, however the bytes are cut", async () => {
    const bytes = Buffer.concat([message(11), message(13, 1, 2, 3)]);
    const { passed, refusals } = await filter(...[...bytes].map((byte) => Buffer.of(byte)));
    assert.deepEqual(passed, bytes);
    assert.equal(refusals.length, 0);
  });

  it("answers everything else with a failure", async () => {
    for (const type of [17, 18, 19, 22, 23, 27]) {
      const { passed, refusals } = await filter(message(type, 9), message(11));
      assert.deepEqual(passed, message(11));
      assert.deepEqual(refusals, Buffer.of(0, 0, 0, 1, 5));
    }
  });

  it("ends on a length that no agent takes", async () => {
    await assert.rejects(filter(Buffer.of(0xff, 0xff, 0xff, 0xff, 13)), /ssh agent request of 4294967295 bytes/);
  });
});
