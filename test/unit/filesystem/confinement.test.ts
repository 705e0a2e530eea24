import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { FileActionCopy } from "../../../src/api/gen/ops.ts";
import {
  copyAction,
  copySources,
  lookupGroup,
  lookupUser,
  mkdirAction,
  mkfileAction,
  resolveInRoot,
  rmAction,
} from "../../../src/filesystem/index.ts";
import { makeNode } from "../../../src/util/sys/index.ts";

describe("paths confined to a root", () => {
  let base = "";
  let root = "";
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "confine-"));
    root = join(base, "root");
    mkdirSync(join(root, "etc"), { recursive: true });
    writeFileSync(join(base, "outside"), "secret");
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  it("resolves links as if the root were /", () => {
    mkdirSync(join(root, "dir"));
    symlinkSync("/dir", join(root, "abs"));
    symlinkSync("../../../..", join(root, "dir/up"));
    symlinkSync("abs", join(root, "again"));
    assert.equal(resolveInRoot(root, "/again/x"), join(root, "dir/x"));
    assert.equal(resolveInRoot(root, "dir/up/outside"), join(root, "outside"));
    assert.equal(resolveInRoot(root, "../../etc/./x"), join(root, "etc/x"));
    assert.equal(resolveInRoot(root, "again", { followLast: false }), join(root, "again"));
    assert.equal(resolveInRoot(root, ""), root);
  });

  it("gives up on a loop", () => {
    symlinkSync("b", join(root, "a"));
    symlinkSync("a", join(root, "b"));
    assert.throws(() => resolveInRoot(root, "a"), { message: "too many links" });
  });

  it("keeps every action inside", () => {
    symlinkSync(base, join(root, "esc"));
    symlinkSync("/../outside", join(root, "lnk"));
    assert.throws(() =>
      mkfileAction(
        { target: root },
        { path: "/esc/outside", mode: 0o644, data: Buffer.from("x"), owner: undefined, timestamp: -1n },
      ),
    );
    mkfileAction(
      { target: root },
      { path: "/lnk", mode: 0o644, data: Buffer.from("x"), owner: undefined, timestamp: -1n },
    );
    mkdirAction({ target: root }, { path: "/esc/d", mode: 0o755, makeParents: true, owner: undefined, timestamp: -1n });
    rmAction({ target: root }, { path: "/esc/../outside", allowNotFound: true, allowWildcard: false });
    assert.equal(readFileSync(join(base, "outside"), "utf8"), "secret");
    assert.equal(existsSync(join(base, "d")), false);
    assert.equal(existsSync(join(root, base, "d")), true);
  });

  it("copies a link, not what it points to on the host", () => {
    const target = join(base, "target");
    mkdirSync(target);
    symlinkSync(join(base, "outside"), join(root, "f"));
    const follow = FileActionCopy.fromPartial({ src: "/f", dest: "/f", mode: -1, timestamp: -1n, followSymlink: true });
    const [path = ""] = copySources(root, target, follow);
    assert.throws(() => copyAction({ target }, root, path, follow, () => {}), /no such file/);
    assert.equal(existsSync(join(target, "f")), false);
  });

  it("does not write into a device or wait for a FIFO", () => {
    makeNode(join(root, "null"), 0o020666, 0x103n);
    makeNode(join(root, "fifo"), 0o010666, 0n);
    for (const path of ["/null", "/fifo"]) {
      const action = { path, mode: 0o644, data: Buffer.from("x"), owner: undefined, timestamp: -1n };
      assert.throws(() => mkfileAction({ target: root }, action), { message: `open ${path}: operation not permitted` });
    }
  });

  it("reads users of the root only", () => {
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n\n app:x:12:34::/:\nbad:x:y:z\n");
    symlinkSync("/etc/passwd", join(root, "etc/group"));
    assert.deepEqual(lookupUser(root, "app"), { uid: 12, gid: 34 });
    assert.deepEqual(lookupUser(root, "bad"), { uid: 0, gid: 0 });
    assert.equal(lookupUser(root, "daemon"), undefined);
    assert.equal(lookupGroup(root, "app"), 12);
  });

  it("refuses a FIFO as passwd file", () => {
    makeNode(join(root, "etc/passwd"), 0o010644, 0n);
    assert.throws(() => lookupUser(root, "x"), { message: "/etc/passwd is not a regular file" });
  });
});
