import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { MountStubs } from "../../../src/executor/rootfs/mount-stubs.ts";
import { resolveInRoot } from "../../../src/executor/rootfs/resolve-in-root.ts";
import { ensureWorkingDirectory } from "../../../src/executor/rootfs/working-directory.ts";
import { setTimes } from "../../../src/util/sys/index.ts";

let outside: string;
let root: string;

beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), "rootfs-"));
  root = join(outside, "root");
  mkdirSync(join(root, "dir/sub"), { recursive: true });
});
afterEach(() => rmSync(outside, { recursive: true, force: true }));

describe("resolveInRoot()", () => {
  test("keeps every link inside", () => {
    symlinkSync("/dir", join(root, "absolute"));
    symlinkSync("../../../..", join(root, "dir/up"));
    symlinkSync("sub/../missing", join(root, "dir/relative"));
    const resolved = (path: string) => resolveInRoot(root, path).slice(root.length);
    assert.equal(resolved("/absolute/sub"), "/dir/sub");
    assert.equal(resolved("dir/up/etc/passwd"), "/etc/passwd");
    assert.equal(resolved("/dir/relative/x"), "/dir/missing/x");
    assert.equal(resolved("/../../dir/./sub/.."), "/dir");
    assert.equal(resolved("/"), "");
  });

  test("gives up on a loop", () => {
    symlinkSync("b", join(root, "a"));
    symlinkSync("a", join(root, "b"));
    assert.throws(() => resolveInRoot(root, "/a"), { code: "ELOOP" });
  });
});

describe("MountStubs", () => {
  test("removes what the runtime made, not what was there or was filled", () => {
    mkdirSync(join(root, "there"));
    const stubs = MountStubs.record(root, ["/there", "/file", "/empty", "/filled", "/deep/er/est"], true);
    writeFileSync(join(root, "file"), "");
    for (const path of ["empty", "filled", "deep/er/est"]) mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, "filled/content"), "");
    stubs.remove();
    assert.deepEqual(readdirSync(root).sort(), ["dir", "filled", "there"]);
  });

  test("leaves missing parents unless recursive", () => {
    const stubs = MountStubs.record(root, ["/deep/er"], false);
    mkdirSync(join(root, "deep/er"), { recursive: true });
    stubs.remove();
    assert.deepEqual(readdirSync(join(root, "deep")), []);
  });

  test("keeps the times of the directory above", () => {
    const stubs = MountStubs.record(root, ["/dir/stub"], true);
    writeFileSync(join(root, "dir/stub"), "");
    const times = { atimeNs: 1_600_000_000_123_456_789n, mtimeNs: -1_500_000_000n };
    setTimes(join(root, "dir"), times);
    stubs.remove();
    assert.equal(existsSync(join(root, "dir/stub")), false);
    const { atimeNs, mtimeNs } = statSync(join(root, "dir"), { bigint: true });
    assert.deepEqual({ atimeNs, mtimeNs }, times);
  });

  test("follows no link which the step put in the way", () => {
    mkdirSync(join(outside, "victim"));
    const stubs = MountStubs.record(root, ["/a/victim"], false);
    symlinkSync("..", join(root, "a"));
    utimesSync(outside, 1, 1);
    stubs.remove();
    assert.ok(existsSync(join(outside, "victim")));
    assert.equal(statSync(outside).mtimeMs, 1000);
  });
});

describe("ensureWorkingDirectory()", () => {
  test("gives only what it makes to the user", () => {
    ensureWorkingDirectory(root, "/dir/new/er", { uid: 1000, gid: 50 });
    const owner = (path: string) => statSync(join(root, path)).uid;
    assert.deepEqual([owner("dir"), owner("dir/new"), owner("dir/new/er")], [0, 1000, 1000]);
  });

  test("fails where a file is in the way", () => {
    writeFileSync(join(root, "file"), "");
    assert.throws(() => ensureWorkingDirectory(root, "/file/dir", { uid: 0, gid: 0 }), { name: "BuildError" });
  });
});
