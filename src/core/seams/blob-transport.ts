import type { Digest } from "../values/digest.ts";
import type { LayerId } from "../values/layer.ts";

/** Moves bytes from one agent to another, never through the bus or a coordinator. */
export interface BlobTransport {
  /**
   * Bytes of a blob held by a peer, from `offset`. The receiver checks size and digest.
   * @throws BuildError NotFound, or Unavailable (infrastructure) when the peer is gone
   */
  readBlob(peer: PeerAddress, digest: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** A layer's diff as an uncompressed tar, made while it is sent; for layers never cut into a blob. */
  readLayer(peer: PeerAddress, id: LayerId, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface PeerAddress {
  readonly agentId: string;
  /** `http://10.0.0.7:9720`. */
  readonly url: string;
}
