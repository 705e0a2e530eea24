import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compareListings, decodeListing, encodeListing } from "../../../src/contenthash/index.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import { bytePath } from "../../../src/filesystem/index.ts";

type Files = Readonly<Record<string, string>>;

const encoded = (files: Files, limit?: number) =>
  encodeListing(
    new Map(Object.entries(files).map(([path, text]): [string, Digest] => [bytePath(path), sha256(text)])),
    limit,
  );
const changes = (before: Files, after: Files, ...limits: readonly [number?, number?]) =>
  compareListings(decodeListing(encoded(before, limits[0])), decodeListing(encoded(after, limits[1]))).map(
    ({ path, change }) => `${change} ${path}`,
  );

describe("content listings", () => {
  it("say which paths came, went and changed", () => {
    assert.deepEqual(changes({ a: "1", b: "1", c: "1" }, { b: "2", c: "1", ü: "1" }), [
      "removed a",
      "changed b",
      "added ü",
    ]);
    assert.deepEqual(changes({}, {}), []);
  });

  it("name a directory for itself only when nothing below it says the same", () => {
    assert.deepEqual(changes({ "old/": "d", "old/file": "1", "mode/": "1" }, { "mode/": "2", "empty/": "d" }), [
      "added empty/",
      "changed mode/",
      "removed old/file",
    ]);
  });

  it("fold the deepest directories when there are too many entries", () => {
    const before = { top: "1", "a/x/1": "1", "a/x/2": "2", "a/y/1": "1", "b/1": "1" };
    const after = { ...before, "a/x/2": "changed" };
    assert.deepEqual(changes(before, after, 4, 4), ["changed a/x/**"]);
    assert.deepEqual(changes(before, after, 4), ["changed a/x/**"], "compared at the same depth");
    assert.deepEqual(changes(before, after, 1, 4), ["changed **"]);
    assert.deepEqual(changes(before, before, 1, 4), []);
  });

  it("see every change and nothing else, whatever is folded", () => {
    const name = fc.constantFrom("a", "b", "c");
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
    const files = fc.dictionary(path, fc.constantFrom("1", "2", "3"));
    const limit = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(files, files, limit, limit, (before, after, one, other) => {
        assert.deepEqual(changes(before, before, one, other), []);
        const equal = JSON.stringify(Object.entries(before).sort()) === JSON.stringify(Object.entries(after).sort());
        if (!equal) assert.notDeepEqual(changes(before, after, one, other), []);
      }),
    );
  });
});
