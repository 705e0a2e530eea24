import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BytesMessage } from "../../../src/api/gen/control.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { decodeBytesMessage, encodeBytesMessage } from "../../../src/grpc/bytes-message.ts";
import { metadataFromRaw } from "../../../src/grpc/metadata.ts";
import {
  decodeStatusMessage,
  encodeStatusMessage,
  errorFromTrailers,
  statusTrailers,
} from "../../../src/grpc/status.ts";
import { formatTimeout, parseTimeout } from "../../../src/grpc/timeout.ts";

describe("status", () => {
  it("carries code, message and details of any error through trailers", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.string({ unit: "binary" }),
        fc.array(fc.record({ typeUrl: fc.string(), value: fc.uint8Array() }), { maxLength: 3 }),
        (code, message, details) => {
          const trailers = statusTrailers(new BuildError(code as Code, message, { details }));
          const error = errorFromTrailers((name) => trailers[name]);
          assert.equal(error?.code, code);
          assert.equal(error?.message, message);
          assert.deepEqual(
            error?.details.map((item) => [item.typeUrl, Buffer.from(item.value)]),
            details.map((item) => [item.typeUrl, Buffer.from(item.value)]),
          );
        },
      ),
    );
  });

  it("says OK as no error", () => {
    const trailers = statusTrailers(undefined);
    assert.equal(
      errorFromTrailers((name) => trailers[name]),
      undefined,
    );
  });

  it("keeps code and message when details cannot be read", () => {
    const trailers: Record<string, string> = {
      "grpc-status": "5",
      "grpc-message": "gone",
      "grpc-status-details-bin": "////",
    };
    const error = errorFromTrailers((name) => trailers[name]);
    assert.deepEqual([error?.code, error?.message], [Code.NotFound, "gone"]);
  });

  it("encodes messages as grpc-go does", () => {
    assert.equal(encodeStatusMessage("a%b\nü"), "a%25b%0A%C3%BC");
    assert.equal(decodeStatusMessage("a%25b%0A%C3%BC"), "a%b\nü");
    assert.equal(decodeStatusMessage("50% of %zz"), "50% of %zz");
  });
});

describe("metadata", () => {
  it("keeps repeated values apart, commas included, and drops what belongs to the protocol", () => {
    const metadata = metadataFromRaw([
      ":path",
      "/a/b",
      "content-type",
      "application/grpc",
      "grpc-timeout",
      "1S",
      "include-patterns",
      "c,d",
      "include-patterns",
      "e",
      "x-bin",
      "AQ,Ag",
    ]);
    assert.deepEqual(Object.entries(metadata), [
      ["include-patterns", ["c,d", "e"]],
      ["x-bin", ["AQ", "Ag"]],
    ]);
  });
});

describe("timeout", () => {
  for (const [text, ms] of [
    ["5S", 5000],
    ["100m", 100],
    ["2H", 7_200_000],
    ["1500u", 1.5],
    ["99999999n", 99.999999],
  ] as const) {
    it(`reads ${text}`, () => assert.ok(Math.abs(parseTimeout(text) - ms) < 1e-9));
  }

  for (const text of ["", "5", "S", "123456789S", "-1S", "1.5S", "1D"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseTimeout(text), { code: Code.Internal }));
  }

  it("writes what it reads, never less and never zero", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
        const back = parseTimeout(formatTimeout(ms));
        assert.ok(back > 0 && (back >= ms - 1e-6 * ms || ms > 9e10), `${ms} became ${back}`);
      }),
    );
  });
});

describe("BytesMessage", () => {
  it("agrees with the generated codec", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const bytes = encodeBytesMessage(data);
        assert.deepEqual(Buffer.from(bytes), Buffer.from(BytesMessage.encode({ data }).finish()));
        assert.deepEqual(Buffer.from(decodeBytesMessage(bytes)), Buffer.from(data));
      }),
    );
  });

  it("encodes lengths of three and four bytes", () => {
    for (const length of [16_383, 16_384, 2_097_152]) {
      const bytes = encodeBytesMessage(Buffer.alloc(length, 7));
      assert.equal(BytesMessage.decode(bytes).data.length, length);
      assert.equal(decodeBytesMessage(bytes).length, length);
    }
  });

  it("skips unknown fields and refuses what is cut off", () => {
    const data = encodeBytesMessage(Buffer.from("abc"));
    const extra = Buffer.concat([Buffer.from([0x10, 0x96, 0x01, 0x1d, 1, 2, 3, 4]), data]);
    assert.equal(Buffer.from(decodeBytesMessage(extra)).toString(), "abc");
    assert.throws(() => decodeBytesMessage(data.subarray(0, 4)), { code: Code.Internal });
    assert.throws(() => decodeBytesMessage(Buffer.from([0x0b])), { code: Code.Internal });
  });
});
