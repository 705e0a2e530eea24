import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cgroups } from "../../../src/executor/cgroups.ts";
import { findRuntime } from "../../../src/executor/find-runtime.ts";

const v1 = { mountPoint: "/v1", version: 1 as const, controllers: ["memory"] };
const v2 = { mountPoint: "/v2", version: 2 as const, controllers: [] };

describe("findRuntime()", () => {
  let directory: string;
  let both: string;
  let crunOnly: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "runtimes-"));
    both = join(directory, "both");
    crunOnly = join(directory, "crun-only");
    for (const path of [both, crunOnly]) mkdirSync(path);
    for (const path of [join(both, "runc"), join(both, "crun"), join(crunOnly, "crun")]) {
      writeFileSync(path, "", { mode: 0o755 });
    }
    writeFileSync(join(crunOnly, "runc"), "", { mode: 0o644 });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test("crun is preferred, except where cgroup versions are mixed", () => {
    const name = (searchPath: string, hierarchies: ConstructorParameters<typeof Cgroups>[0]) =>
      findRuntime({ searchPath, cgroups: new Cgroups(hierarchies) }).name;
    assert.equal(name(both, [v2]), "crun");
    assert.equal(name(both, [v1]), "crun");
    assert.equal(name(both, [v1, v2]), "runc");
    assert.equal(name(crunOnly, [v1, v2]), "crun");
  });

  test("the configured one is taken, or missed", () => {
    assert.deepEqual(findRuntime({ configured: "runc", searchPath: both }), { name: "runc", path: join(both, "runc") });
    assert.equal(findRuntime({ configured: join(both, "crun"), searchPath: "" }).name, "crun");
    assert.throws(() => findRuntime({ configured: "youki", searchPath: both }), {
      message: "failed to find youki binary",
    });
    assert.throws(() => findRuntime({ searchPath: "/nonexistent" }), { code: 9 });
  });
});

describe("Cgroups", () => {
  test("reads usage of both versions", () => {
    const directory = mkdtempSync(join(tmpdir(), "cgroups-"));
    try {
      mkdirSync(join(directory, "memory/c"), { recursive: true });
      mkdirSync(join(directory, "cpu/c"), { recursive: true });
      mkdirSync(join(directory, "unified/c"), { recursive: true });
      writeFileSync(join(directory, "memory/c/memory.max_usage_in_bytes"), "4096\n");
      writeFileSync(join(directory, "memory/c/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
      writeFileSync(join(directory, "cpu/c/cpuacct.usage"), "123\n");
      writeFileSync(join(directory, "unified/c/cpu.stat"), "usage_usec 7\nuser_usec 3\n");
      writeFileSync(join(directory, "unified/c/memory.peak"), "8192\n");
      writeFileSync(join(directory, "unified/c/memory.events"), "oom 1\noom_kill 1\n");
      const hierarchy = (name: string, controllers: readonly string[]) => ({
        mountPoint: join(directory, name),
        version: 1 as const,
        controllers,
      });
      const legacy = new Cgroups([hierarchy("memory", ["memory"]), hierarchy("cpu", ["cpu", "cpuacct"])]);
      assert.deepEqual(legacy.usage("/c"), { cpuNanos: 123, peakMemoryBytes: 4096, oomKills: 2 });
      const unified = new Cgroups([{ mountPoint: join(directory, "unified"), version: 2, controllers: [] }]);
      assert.deepEqual(unified.usage("/c"), { cpuNanos: 7000, peakMemoryBytes: 8192, oomKills: 1 });
      assert.deepEqual(unified.usage("/gone"), { cpuNanos: 0, peakMemoryBytes: 0, oomKills: 0 });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
