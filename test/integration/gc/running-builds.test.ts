import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { image, merge, type State, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

describe("pruning while a build runs", () => {
  let sandbox: Sandbox;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 1, coordinators: 2 });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const prune = async (client: BuildClient) => {
    const removed: string[] = [];
    const request = PruneRequest.fromPartial({ all: true });
    for await (const { ID } of client.control.prune(request, AbortSignal.timeout(60_000))) removed.push(ID);
    return removed;
  };
  const sh = (state: State, command: string, gate = false) =>
    state.run({
      args: ["sh", "-ec", command],
      mounts: [
        { target: "/made", source: scratch() },
        ...(gate ? [{ target: "/gate", cache: { id: "gate", sharing: CacheSharingOpt.SHARED } }] : []),
      ],
    });

  for (const [by, head] of [
    ["its own coordinator", 0],
    ["another coordinator", 1],
  ] as const) {
    it(`leaves the build its layers when asked by a client of ${by}`, async () => {
      const [builder, other] = [await sandbox.connect(0), await sandbox.connect(head)];
      const base = image(sandbox.image());
      const early = sh(base, `cat /proc/sys/kernel/random/uuid > /early; cat /early; echo ${by}`);
      const late = sh(base, `echo waiting; until [ -e /gate/${head} ]; do sleep 0.1; done; echo > /late`, true);
      const path = join(sandbox.root, `output-${head}`);
      let log = "";
      const build = builder.build({
        state: merge([early, late]),
        outputs: [directoryOutput(path)],
        onLog: (text) => {
          log = text;
        },
      });
      // Nothing that runs stands on the first step's layer now.
      await waitFor("the first step's layer", async () => {
        const records = await other.control.diskUsage([], AbortSignal.timeout(10_000));
        return log.includes("waiting") && records.some((record) => record.Description.includes("/early"));
      });
      await prune(other);
      await openGate(sandbox, String(head));
      const { log: all } = await build;
      const made = all.match(/^[0-9a-f-]{36}$/gm) ?? [];
      assert.equal(made.length, 1, all);
      assert.equal((await readFile(join(path, "early"), "utf8")).trim(), made[0]);
      assert.doesNotMatch(all, /lost layer/);
    });
  }

  it("leaves nothing when no build runs", async () => {
    const client = await sandbox.connect();
    assert.ok((await prune(client)).length > 0);
    assert.deepEqual(await client.control.diskUsage([], AbortSignal.timeout(10_000)), []);
  });
});

/** Makes a file in the cache mount that a step waits for. */
async function openGate(sandbox: Sandbox, name: string): Promise<void> {
  const mounts = join(sandbox.agents[0]?.root ?? "", "cache-mounts");
  for (const id of await readdir(mounts)) await writeFile(join(mounts, id, "data", name), "");
}
