import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { BlobOrigin } from "../../core/values/layer.ts";

/** Reads blobs from outside the fleet: registries and client sessions. */
export interface OriginReader {
  /** Bytes from `offset`. @throws BuildError as the origin answers */
  open(
    origin: BlobOrigin,
    options: { readonly sessions: SessionGroup; readonly signal: AbortSignal; readonly offset: number },
  ): AsyncIterable<Uint8Array>;
}
