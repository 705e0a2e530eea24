import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { MountArea } from "../../../../src/worker-agent/ops/exec/mount-area.ts";
import { makeSecretFile } from "../../../../src/worker-agent/ops/exec/secret-mount.ts";

describe("MountArea", () => {
  let directory: string;
  let area: MountArea;
  const mounts = () =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(directory));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "mount-area-"));
    mkdirSync(join(directory, "real/sub"), { recursive: true });
    writeFileSync(join(directory, "real/sub/file"), "content");
    // State directories are often reached through a link.
    symlinkSync("real", join(directory, "linked"));
    area = new MountArea(join(directory, "linked/area"));
  });
  afterEach(() => {
    area.reap();
    assert.deepEqual(mounts(), []);
    rmSync(directory, { recursive: true, force: true });
  });

  test("below() shows a directory or a file inside a root reached through links", () => {
    symlinkSync("/sub/file", join(directory, "real/absolute"));
    using sub = area.below(join(directory, "linked"), "/sub");
    assert.deepEqual(readdirSync(sub.path), ["file"]);
    using file = area.below(join(directory, "linked"), "absolute");
    assert.equal(readFileSync(file.path, "utf8"), "content");
  });

  test("disposing ends the mount and leaves its source alone", () => {
    const sub = area.below(join(directory, "linked"), "/sub");
    sub[Symbol.dispose]();
    assert.deepEqual(readdirSync(join(directory, "real/area")), []);
    assert.equal(readFileSync(join(directory, "real/sub/file"), "utf8"), "content");
  });

  test("readonlyView() cannot be written to", () => {
    using view = area.readonlyView(join(directory, "real/sub"));
    assert.equal(readFileSync(join(view.path, "file"), "utf8"), "content");
    assert.throws(() => writeFileSync(join(view.path, "new"), ""), { code: "EROFS" });
  });

  test("a secret lies on a tmpfs of its own, as its owner's", () => {
    using secret = makeSecretFile(area, Buffer.from("value"), { uid: 1000, gid: 50, mode: 0o440 });
    const { mode, uid, gid } = statSync(secret.path);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o440, 1000, 50]);
    assert.match(mounts().join(), /nosuid,nodev,noexec.* - tmpfs/);
    assert.ok(secret.mountOptions.includes("noexec"));
    using program = makeSecretFile(area, Buffer.from("value"), { uid: 0, gid: 0, mode: 0o500 });
    assert.ok(!program.mountOptions.includes("noexec"));
  });

  test("reap() undoes what an earlier process left", () => {
    area.below(join(directory, "linked"), "/sub");
    area.tmpfs({ executable: false });
    new MountArea(join(directory, "real/area")).reap();
    assert.deepEqual(mounts(), []);
    assert.deepEqual(readdirSync(join(directory, "real/area")), []);
    assert.deepEqual(readdirSync(join(directory, "real/sub")), ["file"]);
  });
});
