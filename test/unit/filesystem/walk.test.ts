import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type FileStat, followPaths, GoMode, type WalkFilter, walkTree } from "../../../src/filesystem/index.ts";
import { materialize } from "../../helpers/materialize.ts";

describe("walkTree()", () => {
  let root = "";
  before(() => {
    root = mkdtempSync(join(tmpdir(), "walk-"));
    materialize(
      [
        { path: "a", type: "dir", mode: "1777" },
        { path: "a/x.txt", type: "file", content: "x", uid: 3, gid: 4, mtime: [5, 123456789] },
        { path: "a/sub/deep.md", type: "file", content: "deep" },
        { path: "a-b", type: "file" },
        { path: "hard", type: "hardlink", link: "a/x.txt" },
        { path: "link", type: "symlink", link: "/a/sub" },
        { path: "null", type: "char", dev: [1, 3] },
      ],
      root,
    );
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const list = (filter: WalkFilter) => {
    const found: FileStat[] = [];
    walkTree(root, filter, (stat) => {
      found.push(stat);
      return undefined;
    });
    return found;
  };
  const paths = (filter: WalkFilter) => list(filter).map(({ path }) => path);

  it("visits in protocol order", () => {
    assert.deepEqual(paths({}), ["a", "a/sub", "a/sub/deep.md", "a/x.txt", "a-b", "hard", "link", "null"]);
  });

  it("describes entries as fsutil does", () => {
    const byPath = new Map(list({}).map((stat) => [stat.path, stat]));
    assert.equal(byPath.get("a")?.mode, (GoMode.dir | GoMode.sticky | 0o777) >>> 0);
    assert.deepEqual(byPath.get("a/x.txt"), {
      path: "a/x.txt",
      mode: 0o644,
      uid: 3,
      gid: 4,
      size: 1,
      modTime: 5_123_456_789n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
    });
    assert.equal(byPath.get("hard")?.linkname, "a/x.txt");
    assert.equal(byPath.get("link")?.linkname, "/a/sub");
    assert.deepEqual([byPath.get("null")?.devmajor, byPath.get("null")?.devminor], [1, 3]);
  });

  it("brings parents of what a pattern takes", () => {
    assert.deepEqual(paths({ includePatterns: ["**/*.md"] }), ["a", "a/sub", "a/sub/deep.md"]);
    assert.deepEqual(paths({ includePatterns: ["nothing"] }), []);
  });

  it("finds exceptions in excluded directories", () => {
    assert.deepEqual(paths({ excludePatterns: ["**", "!a/sub"] }), ["a", "a/sub", "a/sub/deep.md"]);
  });

  it("follows links into include patterns", () => {
    assert.deepEqual(followPaths(root, ["link/deep.md"]), ["a/sub/deep.md", "link"]);
    assert.deepEqual(followPaths(root, ["l*"]), ["a/sub", "l*"]);
    assert.equal(followPaths(root, ["a", "."]), undefined);
    assert.deepEqual(paths({ followPaths: ["link"] }), ["a", "a/sub", "a/sub/deep.md", "link"]);
  });

  it("skips below a directory, and maps", () => {
    const found: string[] = [];
    walkTree(root, { map: (stat) => (stat.path === "null" ? undefined : { ...stat, uid: 9 }) }, (stat) => {
      found.push(`${stat.path}:${stat.uid}`);
      return stat.path === "a" ? "skip" : undefined;
    });
    assert.deepEqual(found, ["a:9", "a-b:9", "hard:9", "link:9"]);
  });
});
