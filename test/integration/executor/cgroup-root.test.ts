import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { setUpCgroupRoot } from "../../../src/executor/index.ts";

/** Of cgroup v2, alone or beside v1. */
const hierarchy = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) =>
  existsSync(join(path, "cgroup.controllers")),
);
const skip = process.getuid?.() !== 0 ? "needs root" : hierarchy === undefined && "needs cgroup v2";

it("setUpCgroupRoot() moves processes out of the root and enables its controllers", { skip }, async () => {
  const root = join(hierarchy ?? "", `buildfleet-${randomBytes(6).toString("hex")}`);
  const file = (name: string) => readFileSync(join(root, name), "utf8").trim();
  mkdirSync(root);
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  try {
    await once(child, "spawn");
    writeFileSync(join(root, "cgroup.procs"), String(child.pid));
    assert.deepEqual(setUpCgroupRoot(root), []);
    assert.equal(file("cgroup.procs"), "");
    assert.equal(file("init/cgroup.procs"), String(child.pid));
    assert.equal(file("cgroup.subtree_control"), file("cgroup.controllers"));
    assert.deepEqual(setUpCgroupRoot(root), [], "a second time");
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
    for (const path of [join(root, "init"), root]) if (existsSync(path)) rmdirSync(path);
  }
});

it("setUpCgroupRoot() leaves cgroup v1 alone", () => {
  assert.deepEqual(setUpCgroupRoot("/nonexistent"), []);
});
