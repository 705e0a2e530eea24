import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HeaderBlockJoiner } from "../../../src/grpc/header-block-joiner.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, stream: number, payload: string): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

/** In pieces of these sizes, over and over. */
function join(bytes: Uint8Array, sizes: readonly number[]): Buffer {
  const joiner = new HeaderBlockJoiner();
  const passed: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    passed.push(...joiner.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(passed);
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe("HeaderBlockJoiner", () => {
  it("makes one frame of a header block, however the bytes come", () => {
    const before = Buffer.concat([preface, frame(4, 0, 0, ""), frame(0, 1, 1, "data"), frame(1, 4, 3, "whole")]);
    const after = frame(0, 1, 5, "more");
    const split = [frame(1, 1, 5, "abc"), frame(9, 0, 5, ""), frame(9, 0, 5, "def"), frame(9, 4, 5, "gh")];
    const expected = Buffer.concat([before, frame(1, 5, 5, "abcdefgh"), after]);
    const sent = Buffer.concat([before, ...split, after]);
    fc.assert(fc.property(sizes, (pieces) => assert.deepEqual(join(sent, pieces), expected)));
  });

  it("leaves what it cannot join to its receiver", () => {
    const broken = Buffer.concat([preface, frame(1, 0, 1, "abc"), frame(0, 0, 1, "data"), frame(9, 4, 1, "x")]);
    assert.deepEqual(join(broken, [7]), broken);
    const withPadding = Buffer.concat([preface, frame(1, 8, 1, "\x01a0"), frame(9, 4, 1, "x")]);
    assert.deepEqual(join(withPadding, [7]), withPadding);
  });

  it("does not collect for ever", () => {
    for (const [payload, times] of [
      ["x".repeat(1 << 20), 17],
      ["", 5000],
    ] as const) {
      const joiner = new HeaderBlockJoiner();
      joiner.push(Buffer.concat([preface, frame(1, 0, 1, "")]));
      const more = frame(9, 0, 1, payload);
      assert.throws(() => {
        for (let sent = 0; sent < times; sent++) joiner.push(more);
      }, /headers are longer than/);
    }
  });
});
