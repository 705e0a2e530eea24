import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { PruneRequest } from "../../../../src/api/gen/control.ts";
import { type BuildClient, mountsUnder, type Sandbox, waitFor } from "../../../helpers/sandbox/index.ts";
import { storedItems, storeFaults } from "./store-faults.ts";

/** Of a crash nothing is left once the daemon with this data directory has started: no mount, no half-written file. */
export async function assertRepaired(sandbox: Sandbox, root: string): Promise<void> {
  const mounts = mountsUnder(root).filter((path) => path !== join(root, "executor"));
  assert.deepEqual(mounts, [], "mounts of the killed daemon");
  assert.deepEqual(await storeFaults(root), []);
  const temporary = (await readdir(sandbox.root)).filter((name) => /^(known-hosts|ssh-agent|buildfleet)-/.test(name));
  const running = sandbox.agents.length || 1;
  assert.ok(temporary.length <= running, `temporary files pile up: ${temporary}`);
}

/** Prunes all until nothing is on disk; blobs only seconds old are left to whoever wrote them. */
export async function assertPrunable(client: BuildClient, roots: readonly string[]): Promise<void> {
  let left: string[] = [];
  try {
    // What a killed coordinator held stays until the others know that it is dead.
    await waitFor("pruned data to go", async () => {
      await prune(client);
      const used = await client.control.diskUsage([], AbortSignal.timeout(60_000));
      left = [...used.map(({ Description }) => Description), ...(await Promise.all(roots.map(storedItems))).flat()];
      return left.length === 0;
    });
  } catch {
    assert.deepEqual(left, [], "left after a prune");
  }
}

export async function prune(client: BuildClient): Promise<void> {
  const request = PruneRequest.fromPartial({ all: true });
  for await (const _ of client.control.prune(request, AbortSignal.timeout(60_000)));
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
