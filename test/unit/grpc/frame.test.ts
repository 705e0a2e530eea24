import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Code } from "../../../src/core/errors/code.ts";
import { encodeFrame, FrameDecoder } from "../../../src/grpc/frame.ts";

describe("FrameDecoder", () => {
  it("gives back any messages however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map(encodeFrame));
          const decoder = new FrameDecoder(1000);
          const seen: Buffer[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const length = cuts[i % cuts.length] ?? 1;
            decoder.push(bytes.subarray(at, at + length), (frame) => seen.push(Buffer.from(frame.payload)));
            at += length;
          }
          assert.deepEqual(seen, messages.map(Buffer.from));
          assert.equal(decoder.idle, true);
        },
      ),
    );
  });

  it("is not idle inside a message", () => {
    const decoder = new FrameDecoder(1000);
    decoder.push(encodeFrame(Buffer.from("abc")).subarray(0, 6), () => assert.fail("no message is whole"));
    assert.equal(decoder.idle, false);
  });

  it("refuses a message over the limit before its bytes have come", () => {
    const decoder = new FrameDecoder(16);
    assert.throws(() => decoder.push(encodeFrame(Buffer.alloc(17)).subarray(0, 5), () => {}), {
      code: Code.ResourceExhausted,
      message: "grpc: received message larger than max (17 vs. 16)",
    });
  });

  it("refuses a prefix that is no gRPC", () => {
    assert.throws(() => new FrameDecoder(16).push(Buffer.from("HTTP/1.1 400"), () => {}), { code: Code.Internal });
  });
});
