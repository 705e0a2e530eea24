import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
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

  it("takes no longer the more wildcards there are", () => {
    const path = `dir/${"a".repeat(4000)}`;
    for (const pattern of [`dir/${"*a".repeat(50)}b`, `${"**/*a".repeat(20)}b`, `${"**/".repeat(50)}b`]) {
      assert.equal(new PatternMatcher([pattern]).matches(path), false, pattern);
    }
    assert.equal(new PatternMatcher([`dir/${"*a".repeat(50)}`]).matches(path), true);
  });

  it("gives the same answer for few wildcards and many", () => {
    const word = (letters: readonly string[]) =>
      fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(word(["a", "b", "*", "?"]), word(["a", "b"]), (pattern, path) => {
        // Stars side by side mean something else.
        fc.pre(!pattern.includes("**"));
        // Where each prefix of the pattern can end in the path.
        let ends = new Set([0]);
        for (const ch of pattern) {
          const next = new Set<number>();
          for (const end of ends) {
            if (ch === "*") for (let at = end; at <= path.length; at++) next.add(at);
            else if (end < path.length && (ch === "?" || ch === path[end])) next.add(end + 1);
          }
          ends = next;
        }
        assert.equal(new PatternMatcher([pattern]).matches(path), ends.has(path.length));
      }),
    );
  });

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
