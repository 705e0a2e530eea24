import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ContainerProcess } from "../../../src/core/seams/executor.ts";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import { buildSpec, type SpecContext } from "../../../src/executor/spec/build-spec.ts";
import { defaultCapabilities } from "../../../src/executor/spec/capabilities.ts";
import { defaultSeccomp } from "../../../src/executor/spec/seccomp.ts";

const container: ContainerProcess = {
  id: "c",
  rootfs: "/root/fs",
  rootReadonly: false,
  mounts: [],
  args: ["true"],
  env: [],
  cwd: "/",
  user: "",
  hostname: "",
  extraHosts: [],
  network: "sandbox",
  security: "sandbox",
  ulimits: [],
  cgroupParent: "",
  removeMountStubsRecursive: true,
  validExitCodes: [],
  platform: hostPlatform(),
};

const context: SpecContext = {
  user: { uid: 0, gid: 0, additionalGids: [0] },
  resolvConf: "/r",
  hosts: "/h",
  network: "host",
  cgroupsPath: "/buildkit/c",
  cgroupNamespace: false,
  seccomp: true,
  architecture: "amd64",
};

describe("buildSpec()", () => {
  const namespaces = (change: Partial<SpecContext>) =>
    buildSpec(container, { ...context, ...change }).linux.namespaces.map(({ type }) => type);

  test("namespaces follow network and cgroup version", () => {
    assert.deepEqual(namespaces({}), ["pid", "ipc", "uts", "mount"]);
    assert.deepEqual(namespaces({ network: "empty", cgroupNamespace: true }), [
      "pid",
      "ipc",
      "uts",
      "mount",
      "network",
      "cgroup",
    ]);
  });

  test("the later of two mounts on one place wins, at the place of the first", () => {
    const mounts = [
      { type: "bind" as const, source: "/1", destination: "/m", options: [] },
      { type: "bind" as const, source: "/2", destination: "/etc/hosts/", options: [] },
      { type: "bind" as const, source: "/3", destination: "m", options: [] },
    ];
    const spec = buildSpec({ ...container, mounts }, context);
    const ours = spec.mounts
      .filter(({ type }) => type === "bind")
      .map(({ destination, source }) => [destination, source]);
    assert.deepEqual(ours, [
      ["/etc/resolv.conf", "/r"],
      ["/etc/hosts", "/2"],
      ["/m", "/3"],
    ]);
  });

  test("environment: later values replace, names without a value are dropped", () => {
    const spec = buildSpec({ ...container, env: ["A=1", "B=2", "C", "A=3=4"] }, context);
    assert.deepEqual(spec.process.env, ["A=3=4", "B=2"]);
  });

  test("no open-file limit unless asked for", () => {
    assert.equal(buildSpec(container, context).process.rlimits, undefined);
    const ulimits = [{ name: "nofile", soft: 1, hard: 2 }];
    assert.deepEqual(buildSpec({ ...container, ulimits }, context).process.rlimits, [
      { type: "RLIMIT_NOFILE", soft: 1, hard: 2 },
    ]);
  });

  test("limits that are zero are left out", () => {
    const resources = {
      memory: 5,
      memorySwap: -1,
      cpuShares: 0,
      cpuPeriod: 0,
      cpuQuota: 7,
      cpusetCpus: "0",
      cpusetMems: "",
    };
    const { memory, cpu } = buildSpec({ ...container, resources }, context).linux.resources;
    assert.deepEqual(memory, { limit: 5, swap: -1 });
    assert.deepEqual(cpu, { quota: 7, cpus: "0" });
  });

  test("insecure has neither seccomp nor masked paths and may write to cgroups", () => {
    const spec = buildSpec({ ...container, security: "insecure" }, context);
    assert.equal(spec.linux.seccomp, undefined);
    assert.deepEqual([spec.linux.maskedPaths, spec.linux.readonlyPaths], [[], []]);
    assert.ok(spec.process.capabilities.ambient?.includes("CAP_CHOWN"));
    assert.ok(
      spec.mounts.every(({ destination, options }) => !destination.startsWith("/sys") || !options.includes("ro")),
    );
  });
});

describe("defaultSeccomp()", () => {
  const allows = (capabilities: readonly string[], architecture: string, name: string) =>
    defaultSeccomp(capabilities, architecture).syscalls.some(
      ({ names, action, args }) => action === "SCMP_ACT_ALLOW" && args === undefined && names.includes(name),
    );

  test("what the default capabilities do not cover is refused", () => {
    for (const name of ["mount", "bpf", "kexec_load", "reboot", "init_module", "settimeofday", "clone3", "clone"]) {
      assert.equal(allows(defaultCapabilities, "amd64", name), false, name);
    }
    for (const name of ["openat2", "chroot", "ptrace", "arch_prctl"]) {
      assert.equal(allows(defaultCapabilities, "amd64", name), true, name);
    }
    assert.equal(allows(defaultCapabilities, "arm64", "arch_prctl"), false);
  });

  test("capabilities open what they stand for", () => {
    assert.equal(allows(["CAP_SYS_ADMIN"], "amd64", "mount"), true);
    assert.equal(allows(["CAP_BPF"], "amd64", "bpf"), true);
  });

  test("clone3 is said to be missing, so that libc falls back", () => {
    const rule = defaultSeccomp(defaultCapabilities, "amd64").syscalls.find(({ names }) => names.includes("clone3"));
    assert.deepEqual([rule?.action, rule?.errnoRet], ["SCMP_ACT_ERRNO", 38]);
    assert.equal(
      defaultSeccomp(["CAP_SYS_ADMIN"], "amd64").syscalls.some(({ action }) => action === "SCMP_ACT_ERRNO"),
      false,
    );
  });
});
