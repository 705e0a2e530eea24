import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BadPatternError, compilePatterns, goMatch, PatternMatcher } from "../../../src/filesystem/index.ts";

describe("goMatch()", () => {
  for (const [pattern, name, expected] of [
    ["a*b", "axxb", true],
    ["a*", "a/b", false],
    ["a*/b", "ab/b", true],
    ["*a*b*c", "xaybzc", true],
    ["a?c", "aüc", true],
    ["a?c", "a/c", false],
    ["[^a-c]x", "dx", true],
    ["[^a-c]x", "bx", false],
    ["a\\*", "a*", true],
    ["a[\\]]", "a]", true],
    ["", "", true],
    ["*", "", true],
  ] as const) {
    it(`${pattern} on ${name}`, () => assert.equal(goMatch(pattern, name), expected));
  }

  for (const pattern of ["[", "[a", "[]", "[]a]", "[a-]", "a\\", "[-x]", "x[^]"]) {
    it(`refuses ${pattern} whatever the name`, () => assert.throws(() => goMatch(pattern, "zzz"), BadPatternError));
  }
});

describe("PatternMatcher", () => {
  for (const [patterns, path, expected] of [
    [["**"], "a/b", true],
    [["**/foo"], "foo", true],
    [["**/foo"], "a/b/foo", true],
    [["a/**"], "a/b/c", true],
    [["a/**/c"], "a/c", true],
    [["*.md", "!README.md"], "README.md", false],
    [["*.md", "!README.md"], "x.md", true],
    [["dir"], "dir/a/b", true],
    [["dir", "!dir/a"], "dir/a/b", false],
    [["d*r"], "dir/x", true],
    [["a.b"], "axb", false],
    [["[a-c].t"], "b.t", true],
    [["a\\*"], "a*", true],
    [[" /x "], "x", false],
    [["", "  "], "x", false],
    [["**/*.go"], "a/b.go", true],
    [["a(b"], "a(b", true],
  ] as const) {
    it(`${JSON.stringify(patterns)} on ${path}`, () => {
      assert.equal(new PatternMatcher(patterns).matches(path), expected);
    });
  }

  it("gives the same answer with the parent's result as without", () => {
    const matcher = new PatternMatcher(["a", "!a/b", "a/b/*.x"]);
    for (const path of ["a/b/c.x", "a/b/c.y", "a/c", "b/a"]) {
      let parents: readonly boolean[] | undefined;
      let matched = false;
      for (let at = path.indexOf("/"); ; at = path.indexOf("/", at + 1)) {
        const step = matcher.matchBelow(at < 0 ? path : path.slice(0, at), parents);
        ({ matched, parents } = step);
        if (at < 0) break;
      }
      assert.equal(matched, matcher.matches(path), path);
    }
  });

  it("names the list that does not compile", () => {
    assert.throws(() => compilePatterns("includepatterns", ["x", "[a"]), {
      message: "invalid includepatterns: [x [a]: syntax error in pattern",
    });
    assert.throws(() => new PatternMatcher(["!"]), { message: 'illegal exclusion pattern: "!"' });
  });
});
