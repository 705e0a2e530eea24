import type { Descriptor } from "../values/descriptor.ts";
import type { Digest } from "../values/digest.ts";
import type { LayerId } from "../values/layer.ts";

/** Moves bytes from one agent to another, never through the bus or a coordinator. */
export interface BlobTransport {
  /**
   * Bytes of a blob held by a peer, from `offset`. The receiver checks size and digest.
   * @throws BuildError NotFound, or Unavailable (infrastructure) when the peer is gone
   */
  readBlob(peerUrl: string, digest: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Asks a peer for a layer it holds; the peer cuts it into a blob if that was never done.
   * @returns the blob, with annotation `containerd.io/uncompressed` = diffId
   * @throws as `readBlob`
   */
  layerBlob(peerUrl: string, id: LayerId, signal: AbortSignal): Promise<Descriptor>;
  /**
   * Tells a peer that a blob it gave was not what its digest says: it looks at what it stores and drops it if that is so.
   * @throws as `readBlob`
   */
  checkBlob(peerUrl: string, digest: Digest, signal: AbortSignal): Promise<void>;
  /** Resolves as soon as the peer has answered anything. @throws BuildError Unavailable when it does not */
  ping(peerUrl: string, signal: AbortSignal): Promise<void>;
}
