import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goAtoi, goParseInt, parseGoDigest } from "../../../src/source/go-text.ts";
import { goJson } from "../../../src/util/go-json.ts";

describe("goJson()", () => {
  it("escapes what encoding/json escapes", () => {
    assert.equal(goJson({ a: "<x>&\u2028", b: undefined }), '{"a":"\\u003cx\\u003e\\u0026\\u2028"}');
  });
});

describe("parseGoDigest()", () => {
  for (const [text, message] of [
    ["", "invalid checksum digest format"],
    ["sha256:", "invalid checksum digest format"],
    ["md5:zz", "unsupported digest algorithm"],
    ["sha256:ab", "invalid checksum digest length"],
    [`sha256:${"Z".repeat(64)}`, "invalid checksum digest format"],
  ] as const) {
    it(`rejects ${JSON.stringify(text.slice(0, 12))}`, () => assert.throws(() => parseGoDigest(text), { message }));
  }
});

describe("numbers", () => {
  it("reads integers as strconv does", () => {
    assert.deepEqual(["0644", "0o17", "0x1F", "0b101", "-5", "10", "0"].map(goParseInt), [420, 15, 31, 5, -5, 10, 0]);
    assert.equal(goAtoi("+007"), 7);
  });

  for (const text of ["", "x", "08", "1__0", "1_"]) {
    it(`ParseInt rejects ${JSON.stringify(text)}`, () =>
      assert.throws(() => goParseInt(text), {
        message: `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`,
      }));
  }

  it("Atoi rejects text and numbers out of range", () => {
    assert.throws(() => goAtoi("x"), { message: 'strconv.Atoi: parsing "x": invalid syntax' });
    assert.throws(() => goAtoi("99999999999999999999"), /value out of range/);
  });
});
