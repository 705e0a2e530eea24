import type { Digest } from "../../core/values/digest.ts";

/** What an agent that wants a blob says to one that has all or parts of it (`POST /v1/swarms/<digest>`). */
export interface SwarmAsk {
  /** Blob server where the asker gives others what it has; none if it gives nothing. */
  readonly from?: string;
  readonly zone?: string;
  /** `ChunkSet` of what the asker has. */
  readonly have: string;
  /** Chunks that it would take from a holder of the whole, best first. */
  readonly want: readonly number[];
  /** How many of those at most. */
  readonly count: number;
  /** Give them even if another agent was given them: it does not pass them on. */
  readonly insist: boolean;
  /** First chunk whose digest is not known to the asker. */
  readonly digestsFrom: number;
  /** How many chunks the asker knows this agent to have: the answer waits a little while there are no others. */
  readonly seen: number;
  /** Blob servers of the swarm which do not answer the asker. */
  readonly lost: readonly string[];
}

export interface SwarmAnswer {
  readonly size: number;
  readonly chunkBytes: number;
  /** The blob is here whole and verified. */
  readonly whole: boolean;
  readonly have: string;
  readonly zone?: string;
  /** Blob servers of others which fetch this blob. */
  readonly peers: readonly string[];
  /** Chunks to read here now; nobody else was given them, unless the asker insisted. */
  readonly take: readonly number[];
  /** sha256 in base64 of the chunks from `digestsFrom` on, as many as were at hand. */
  readonly digests: readonly string[];
}

/** Talks of chunks, and reads them. */
export interface SwarmTransport {
  /** @throws BuildError NotFound when the peer has nothing of the blob; Unavailable (infrastructure) when it is gone */
  ask(peerUrl: string, digest: Digest, ask: SwarmAsk, signal: AbortSignal): Promise<SwarmAnswer>;
  /**
   * Fills `into`, one after the other, with the blob's bytes from `start` on.
   * @param onBytes called with each piece that has come
   * @throws as `ask`; DataLoss when more or fewer bytes come
   */
  readInto(
    peerUrl: string,
    digest: Digest,
    start: number,
    into: readonly Uint8Array[],
    signal: AbortSignal,
    onBytes: (piece: Uint8Array) => void,
  ): Promise<void>;
  /** As `BlobTransport.checkBlob`. */
  checkBlob(peerUrl: string, digest: Digest, signal: AbortSignal): Promise<void>;
}

const strings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
const numbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
const count = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const optional = (value: unknown): boolean => value === undefined || typeof value === "string";

export function isSwarmAsk(value: unknown): value is SwarmAsk {
  if (typeof value !== "object" || value === null) return false;
  const ask = value as Partial<SwarmAsk>;
  return (
    optional(ask.from) &&
    optional(ask.zone) &&
    typeof ask.have === "string" &&
    numbers(ask.want) &&
    count(ask.count) &&
    typeof ask.insist === "boolean" &&
    count(ask.digestsFrom) &&
    count(ask.seen) &&
    strings(ask.lost)
  );
}

export function isSwarmAnswer(value: unknown): value is SwarmAnswer {
  if (typeof value !== "object" || value === null) return false;
  const answer = value as Partial<SwarmAnswer>;
  return (
    count(answer.size) &&
    count(answer.chunkBytes) &&
    typeof answer.whole === "boolean" &&
    typeof answer.have === "string" &&
    optional(answer.zone) &&
    strings(answer.peers) &&
    numbers(answer.take) &&
    strings(answer.digests)
  );
}
