import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { suggest, withSuggestion } from "../../../../src/frontend/dockerfile/suggest.ts";
import { parseBool, quote, trimSpace } from "../../../../src/frontend/dockerfile/text.ts";

describe("text as Go has it", () => {
  it("quotes", () => {
    assert.equal(
      quote('a"\\\n\t\x01\x7f\u0085 é\u00a0\u00ad\u{1f600}\u{e0001}'),
      '"a\\"\\\\\\n\\t\\x01\\x7f\\u0085 é\\u00a0\\u00ad\u{1f600}\\U000e0001"',
    );
  });

  it("trims Unicode's blanks, but no byte order mark", () => {
    assert.equal(trimSpace("\u0085\u2003 \ufeffa b\ufeff\v\u3000"), "\ufeffa b\ufeff");
    assert.equal(trimSpace(" \n"), "");
  });

  it("reads booleans", () => {
    assert.deepEqual(["1", "T", "True", "f", "FALSE", "yes", "tRUE", ""].map(parseBool), [
      true,
      true,
      true,
      false,
      false,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("suggestions", () => {
  const options = ["COPY", "CMD", "LABEL"];

  it("are at most two edits away", () => {
    assert.equal(suggest("COPPPY", options, { caseSensitive: true }), "COPY");
    assert.equal(suggest("COPPPPY", options, { caseSensitive: true }), undefined);
    assert.equal(suggest("lable", options, { caseSensitive: true }), undefined);
  });

  it("take the case of what was written", () => {
    assert.equal(suggest("lable", options, { caseSensitive: false }), "label");
    assert.equal(suggest("LABLE", ["label"], { caseSensitive: false }), "LABEL");
  });

  it("are not made for names which exist", () => {
    assert.equal(suggest("CMD", options, { caseSensitive: true }), undefined);
    assert.equal(withSuggestion("bad", "CMDD", options), "bad (did you mean CMD?)");
    assert.equal(withSuggestion("bad", "CMD", options), "bad");
  });
});
