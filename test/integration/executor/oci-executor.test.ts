import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import { Cgroups, findRuntime, OciExecutor, type OciRuntime } from "../../../src/executor/index.ts";
import { ProcessSpawner } from "../../../src/util/process/index.ts";
import { runExecutorSuite } from "../../conformance/executor-suite.ts";
import { makeBusyboxRootfs } from "../../helpers/busybox-rootfs.ts";

const cgroupParent = "buildfleet-test";

function find(name: "runc" | "crun"): OciRuntime | undefined {
  // crun refuses to run where cgroup v1 and v2 are mixed.
  if (name === "crun" && new Cgroups().mode === "hybrid") return undefined;
  try {
    return findRuntime({ configured: name });
  } catch {
    return undefined;
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** A cgroup in the freezer's hierarchy, or the only one: processes can be moved there without more ado. */
function cgroupPaths(path: string): string[] {
  return ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/cgroup.procs"].flatMap((sign, i) =>
    existsSync(sign) ? [join(i === 0 ? sign : "/sys/fs/cgroup", path)] : [],
  );
}

for (const name of ["runc", "crun"] as const) {
  const runtime = find(name);
  if (runtime === undefined) continue;

  runExecutorSuite(name, async (root) => {
    const spawner = new ProcessSpawner();
    const cgroups = new Cgroups();
    const parent = `${cgroupParent}/${name}-${process.pid}`;
    const executor = new OciExecutor({ runtime, root, spawner, cgroupParent: parent });
    return {
      executor,
      leftovers: () => [
        ...names(join(root, "state")),
        ...names(join(root, "bundles")),
        ...cgroups.children(`${parent}/buildkit`),
      ],
      [Symbol.asyncDispose]: async () => {
        await executor[Symbol.asyncDispose]();
        await spawner[Symbol.asyncDispose]();
        for (const path of [`${parent}/buildkit`, parent, cgroupParent]) cgroups.remove(path);
      },
    };
  });

  test(`${name}: reap() ends a container that was only being made`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "executor-reap-"));
    const cgroups = new Cgroups();
    const parent = `${cgroupParent}/half-${process.pid}`;
    const root = join(directory, "executor");
    await using spawner = new ProcessSpawner();
    const executor = new OciExecutor({ runtime, root, spawner, cgroupParent: parent });
    // Waits for input; only its arguments make it look like a runtime.
    const maker = spawn("cat", ["-", join(root, "state")], { stdio: ["pipe", "ignore", "ignore"] });
    const inside = spawn("sleep", ["1000"], { stdio: "ignore" });
    const ended = [maker, inside].map((child) => once(child, "exit"));
    try {
      const cgroup = `/${parent}/buildkit/half`;
      const bundle = join(root, "bundles/half");
      mkdirSync(bundle, { recursive: true });
      writeFileSync(join(bundle, "config.json"), JSON.stringify({ linux: { cgroupsPath: cgroup } }));
      for (const path of cgroupPaths(cgroup)) {
        mkdirSync(path, { recursive: true });
        writeFileSync(join(path, "cgroup.procs"), String(inside.pid));
      }
      await executor.reap();
      await Promise.all(ended);
      assert.deepEqual(names(join(root, "bundles")), []);
      assert.deepEqual(cgroups.children(`${parent}/buildkit`), []);
    } finally {
      for (const child of [maker, inside]) child.kill("SIGKILL");
      for (const path of [`${parent}/buildkit/half`, `${parent}/buildkit`, parent, cgroupParent]) cgroups.remove(path);
      await executor[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test(`${name}: reap() ends what a killed agent left`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "executor-reap-"));
    const rootfs = makeBusyboxRootfs(join(directory, "rootfs"));
    const cgroups = new Cgroups();
    const parent = `${cgroupParent}/reap-${process.pid}`;
    const options = { runtime, root: join(directory, "executor"), cgroupParent: parent };
    try {
      const first = new ProcessSpawner();
      const lost = new OciExecutor({ ...options, spawner: first }).run(
        {
          id: "orphan",
          rootfs,
          rootReadonly: false,
          mounts: [],
          args: ["/bin/sh", "-c", "echo up; exec sleep 1000"],
          env: ["PATH=/bin"],
          cwd: "/",
          user: "",
          hostname: "",
          extraHosts: [],
          network: "none",
          security: "sandbox",
          ulimits: [],
          cgroupParent: "",
          removeMountStubsRecursive: true,
          validExitCodes: [],
          platform: hostPlatform(),
        },
        // The helper goes with the agent; what it ran is lost to the agent, yet goes on.
        { stdout: () => first[Symbol.asyncDispose](), stderr: () => {} },
        new AbortController().signal,
      );
      await assert.rejects(lost, { infrastructure: true });
      assert.deepEqual(cgroups.children(`${parent}/buildkit`), ["orphan"]);

      await using second = new ProcessSpawner();
      const executor = new OciExecutor({ ...options, spawner: second });
      await executor.reap();
      assert.deepEqual(names(join(options.root, "state")), []);
      const inMemory = readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(options.root));
      assert.equal(inMemory.length, 1);
      await executor[Symbol.asyncDispose]();
      assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(options.root));
      assert.deepEqual(cgroups.children(`${parent}/buildkit`), []);
    } finally {
      for (const path of [`${parent}/buildkit`, parent, cgroupParent]) cgroups.remove(path);
      rmSync(directory, { recursive: true, force: true });
    }
  });
}
