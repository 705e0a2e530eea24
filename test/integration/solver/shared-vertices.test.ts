import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { CacheSharingOpt, type LinuxResources } from "../../../src/api/gen/ops.ts";
import { image, scratch } from "../../../src/llb/builder/index.ts";
import { Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

/** Prints memory, quota and period, a line each, with cgroups of either version. */
const limitsShown = `
  cd /sys/fs/cgroup
  if [ -e memory.max ]; then
    cat memory.max
    tr " " "\\n" < cpu.max
  else
    cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us
  fi`;

describe("a step that two builds want", () => {
  let sandbox: Sandbox;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("runs once, with the more relaxed of their resource limits", async () => {
    const none = { memorySwap: 0, cpuShares: 0, cpuPeriod: 0, cpuQuota: 0, cpusetCpus: "", cpusetMems: "" };
    const gate = image(sandbox.image()).run({
      args: ["sh", "-ec", "echo waiting; until [ -e /gate/open ]; do sleep 0.1; done"],
      mounts: [{ target: "/gate", cache: { id: "gate", sharing: CacheSharingOpt.SHARED } }],
    });
    const step = (limits: Partial<LinuxResources>) =>
      gate.run({
        args: ["sh", "-ec", `cat /proc/sys/kernel/random/uuid; ${limitsShown}`],
        mounts: [{ target: "/out", source: scratch() }],
        linuxResources: { ...none, memory: 0, ...limits },
      });
    const client = await sandbox.connect();
    const started: Promise<unknown>[] = [];
    const builds = [
      { memory: 64 << 20, cpuQuota: 50_000, cpuPeriod: 100_000 },
      { memory: 96 << 20, cpuQuota: 10_000, cpuPeriod: 100_000 },
    ].map((limits) => {
      const waiting = Promise.withResolvers<void>();
      started.push(waiting.promise);
      return client.build({
        state: step(limits),
        onLog: (log) => void (log.includes("waiting") && waiting.resolve()),
      });
    });
    await Promise.all(started);
    await openGate(join(sandbox.root, "standalone"));
    const logs = (await Promise.all(builds)).map(({ log }) => log.slice(log.indexOf("\n") + 1));
    assert.equal(logs[0], logs[1]);
    assert.match(logs[0] ?? "", new RegExp(`\\n${96 << 20}\\n50000\\n100000\\n$`));
  });
});

/** Makes the file that the step waits for, in its cache mount. */
async function openGate(root: string): Promise<void> {
  await waitFor("the cache mount", async () => {
    const mounts = (await readdir(root, { recursive: true, withFileTypes: true })).filter(
      ({ name, parentPath }) => name === "data" && parentPath.includes("/cache-mounts/"),
    );
    for (const { parentPath, name } of mounts) await writeFile(join(parentPath, name, "open"), "");
    return mounts.length > 0;
  });
}
