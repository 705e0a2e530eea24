import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Digest } from "../../../src/core/values/digest.ts";
import { ChunkLayout } from "../../../src/transfer/swarm/chunk-layout.ts";
import { ChunkSet } from "../../../src/transfer/swarm/chunk-set.ts";
import type { SwarmAnswer, SwarmAsk, SwarmTransport } from "../../../src/transfer/swarm/messages.ts";

/** How a peer behaves where it does not behave well. */
export interface FakePeer {
  /** Has the blob whole; default true. */
  readonly whole?: boolean;
  /** Chunks it has if it has not all. */
  readonly chunks?: readonly number[];
  /** Others it tells of. */
  readonly tells?: readonly string[];
  readonly size?: number;
  /** Comes before the answer to a question. */
  readonly asked?: (signal: AbortSignal) => Promise<void>;
  /** Comes before half of the bytes of a chunk, and before the rest. */
  readonly reading?: (chunk: number, half: 0 | 1, signal: AbortSignal) => Promise<void>;
  /** Changes what it sends. */
  readonly spoils?: (chunk: number) => boolean;
}

/** Waits until the signal aborts. */
export async function never(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export function unavailable(why: string, cause?: unknown): BuildError {
  return new BuildError(Code.Unavailable, why, { infrastructure: true, cause });
}

/** Peers in memory which have one blob, and what was asked of them. */
export class FakePeers implements SwarmTransport {
  readonly reads: { readonly peer: string; readonly chunk: number }[] = [];
  readonly asks: { readonly peer: string; readonly ask: SwarmAsk }[] = [];
  readonly checked: string[] = [];
  readonly #data: Uint8Array;
  readonly #peers: Readonly<Record<string, FakePeer>>;
  readonly #layout: ChunkLayout;

  constructor(data: Uint8Array, peers: Readonly<Record<string, FakePeer>>) {
    this.#data = data;
    this.#peers = peers;
    this.#layout = new ChunkLayout(data.length);
  }

  readsFrom(peer: string): number[] {
    return this.reads.filter((read) => read.peer === peer).map(({ chunk }) => chunk);
  }

  async ask(url: string, _digest: Digest, ask: SwarmAsk, signal: AbortSignal): Promise<SwarmAnswer> {
    const peer = this.#peer(url);
    this.asks.push({ peer: url, ask });
    await peer.asked?.(signal);
    await setImmediate();
    signal.throwIfAborted();
    const { count, chunkBytes } = this.#layout;
    const have = new ChunkSet(count);
    const whole = peer.whole ?? true;
    for (const chunk of whole ? Array(count).keys() : (peer.chunks ?? [])) have.add(chunk);
    return {
      size: peer.size ?? this.#data.length,
      chunkBytes,
      whole,
      have: have.encode(),
      peers: peer.tells ?? [],
      take: whole ? ask.want.slice(0, ask.count) : [],
      digests: Array.from({ length: count - ask.digestsFrom }, (_, i) => this.#digest(ask.digestsFrom + i)),
    };
  }

  async readInto(
    url: string,
    _digest: Digest,
    start: number,
    pieces: readonly Uint8Array[],
    signal: AbortSignal,
    onBytes: (piece: Uint8Array) => void,
  ): Promise<void> {
    const chunk = this.#layout.chunkAt(start);
    const peer = this.#peer(url);
    this.reads.push({ peer: url, chunk });
    if (peer.whole === false && !peer.chunks?.includes(chunk)) throw new BuildError(Code.NotFound, "not here");
    const into = Buffer.alloc(pieces.reduce((sum, piece) => sum + piece.length, 0));
    const middle = into.length >> 1;
    for (const [half, from, to] of [
      [0, 0, middle],
      [1, middle, into.length],
    ] as const) {
      await peer.reading?.(chunk, half, signal);
      await setImmediate();
      signal.throwIfAborted();
      const piece = Uint8Array.from(this.#data.subarray(start + from, start + to));
      if (peer.spoils?.(chunk)) piece[0] = (piece[0] ?? 0) ^ 1;
      into.set(piece, from);
      onBytes(piece);
    }
    let at = 0;
    for (const piece of pieces) {
      piece.set(into.subarray(at, at + piece.length));
      at += piece.length;
    }
  }

  async checkBlob(url: string): Promise<void> {
    this.checked.push(url);
  }

  #peer(url: string): FakePeer {
    const peer = this.#peers[url];
    if (peer === undefined) throw unavailable("refused", { code: "ECONNREFUSED" });
    return peer;
  }

  #digest(chunk: number): string {
    const start = this.#layout.start(chunk);
    return createHash("sha256")
      .update(this.#data.subarray(start, start + this.#layout.length(chunk)))
      .digest("base64");
  }
}
