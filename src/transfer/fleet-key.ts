import { randomBytes } from "node:crypto";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { KeyValueStore } from "../core/seams/key-value.ts";

/** The key under which the agents of a fleet sign transfers: made once by whoever comes first, kept in the fleet's bucket. */
export async function fleetKey(store: KeyValueStore): Promise<Uint8Array> {
  const bucket = await store.open("fleet");
  for (;;) {
    const entry = await bucket.get("transfer-key");
    if (entry !== undefined) return entry.value;
    try {
      await bucket.create("transfer-key", randomBytes(32));
    } catch (error) {
      if (!(error instanceof BuildError) || error.code !== Code.AlreadyExists) throw error;
    }
  }
}
