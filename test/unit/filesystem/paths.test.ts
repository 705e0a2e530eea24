import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  basePath,
  bytePath,
  cleanPath,
  comparePaths,
  dirPath,
  fromGoMode,
  joinPath,
  quotePath,
  splitWildcards,
  textPath,
  toGoMode,
} from "../../../src/filesystem/index.ts";

describe("Go paths", () => {
  for (const [path, clean, dir, base] of [
    ["", ".", ".", "."],
    ["/", "/", "/", "/"],
    ["a/../..", "..", ".", ".."],
    ["/..//a/./b/", "/a/b", "/a/b", "b"],
    ["a/b", "a/b", "a", "b"],
    ["x//", "x", "x", "x"],
  ] as const) {
    it(`reads ${JSON.stringify(path)}`, () => {
      assert.deepEqual([cleanPath(path), dirPath(path), basePath(path)], [clean, dir, base]);
    });
  }

  it("joins nothing to nothing", () => {
    assert.equal(joinPath("", ""), "");
    assert.equal(joinPath("/", "../a"), "/a");
  });

  it("splits at the first component with a wildcard", () => {
    assert.deepEqual(splitWildcards("/a/b*/c/d?"), ["/a", "b*/c/d?"]);
    assert.deepEqual(splitWildcards("/*"), ["/", "*"]);
    assert.deepEqual(splitWildcards("/a\\*/b"), ["/a\\*/b", ""]);
  });

  it("sorts a directory's content right behind it", () => {
    const sorted = ["a-b", "a", "a/z", "a0", "a.txt", "a/b/c", "a/b"].sort(comparePaths);
    assert.deepEqual(sorted, ["a", "a/b", "a/b/c", "a/z", "a-b", "a.txt", "a0"]);
  });

  it("keeps names that are not UTF-8", () => {
    const name = "bad\u00ff";
    assert.equal(textPath(name), "bad\ufffd");
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => textPath(bytePath(text)) === text));
  });

  it("quotes like %q", () => {
    assert.equal(quotePath(bytePath('a"\\\tü\u0001')), '"a\\"\\\\\\tü\\x01"');
  });
});

describe("file modes", () => {
  it("come back from Go's form", () => {
    const types = [0o040000, 0o100000, 0o120000, 0o020000, 0o060000, 0o010000];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.integer({ min: 0, max: 0o7777 }), (type, permissions) => {
        assert.equal(fromGoMode(toGoMode(type | permissions)), type | permissions);
      }),
    );
    assert.equal(toGoMode(0o041777), 0x8010_01ff);
  });
});
