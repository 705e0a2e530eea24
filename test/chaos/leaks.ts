import { connect } from "@nats-io/transport-node";
import { PruneRequest } from "../../src/api/gen/control.ts";
import { NatsKeyValueStore } from "../../src/bus/index.ts";
import { type Sandbox, waitFor } from "../helpers/sandbox/index.ts";

const buckets = ["layers", "lineage", "results", "cache-keys", "cache-mount-locks"];

/** What is left with no build running: containers and mounts; after a prune of everything, records, and an index no smaller. */
export async function leaks(sandbox: Sandbox): Promise<readonly string[]> {
  const left: string[] = [];
  await sandbox.idle().catch((error) => left.push(String(error)));
  const before = await indexSize(sandbox);
  const client = await sandbox.connect();
  let records: string[] = [];
  try {
    await waitFor("a prune to remove everything", async () => {
      const prune = client.control.prune(PruneRequest.fromPartial({ all: true }), AbortSignal.timeout(60_000));
      for await (const _ of prune);
      records = (await client.control.diskUsage([], AbortSignal.timeout(60_000))).map(({ ID }) => `record ${ID}`);
      return records.length === 0;
    });
  } catch {
    left.push(...records);
  }
  // What only agents have that have left may come back with them, so it does not go at once.
  const after = await indexSize(sandbox);
  if (after >= before) left.push(`the index has ${after} entries after a prune, ${before} before`);
  return left;
}

async function indexSize(sandbox: Sandbox): Promise<number> {
  const connection = await connect({ servers: `nats://${sandbox.nats.address}` });
  try {
    const store = new NatsKeyValueStore(connection);
    let size = 0;
    for (const bucket of buckets) {
      using watch = (await store.open(bucket)).watch("", ({ value }) => {
        if (value !== undefined) size++;
      });
      await watch.ready;
    }
    return size;
  } finally {
    await connection.close();
  }
}
