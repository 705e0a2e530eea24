import { createHash } from "node:crypto";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ChunkRead } from "./chunk-schedule.ts";
import type { PartialBlob } from "./partial-blob.ts";
import type { SwarmMember } from "./swarm-download.ts";

/** A read that brings nothing for this long is begun anew elsewhere. That a peer is gone is noticed sooner, when it is asked. */
const stallTimeoutMs = 3000;

/** Reads chunks of one blob from peers, verifies and keeps them, and notes how the peers did. */
export class ChunkReader {
  readonly #partial: PartialBlob;
  readonly #member: SwarmMember;
  readonly #lastBytes = new Map<string, number>();
  #lastBytesAt: number;

  constructor(partial: PartialBlob, member: SwarmMember) {
    this.#partial = partial;
    this.#member = member;
    this.#lastBytesAt = member.now();
  }

  /** When bytes came from anybody; at first the time of making. */
  get lastBytesAt(): number {
    return this.#lastBytesAt;
  }

  /** When bytes came from this peer; before all times if none did. */
  lastBytesFrom(url: string): number {
    return this.#lastBytes.get(url) ?? Number.NEGATIVE_INFINITY;
  }

  /**
   * @returns milliseconds it took
   * @throws BuildError DataLoss when the bytes are wrong; as `SwarmTransport.readInto`
   */
  async read({ peer, chunk }: ChunkRead, signal: AbortSignal): Promise<number> {
    const { book, now, reads, pool } = this.#member;
    await reads.acquire(signal);
    book.begin(peer);
    const length = this.#partial.layout.length(chunk);
    const pieces = pool.take(length);
    let isKept = false;
    try {
      const start = now();
      const digest = await this.#receive(peer, chunk, pieces, signal);
      const ms = now() - start;
      if (digest !== this.#partial.digests[chunk]) throw this.#wrong(peer, chunk);
      book.succeeded(peer, length, ms);
      isKept = await this.#partial.put(chunk, pieces);
      return ms;
    } catch (error) {
      if (!signal.aborted) this.#blame(peer, error);
      throw error;
    } finally {
      if (!isKept) pool.give(pieces);
      book.end(peer);
      reads.release();
    }
  }

  /** @returns the digest of what came; computed piece by piece, so that no piece holds up anything else */
  async #receive(peer: string, chunk: number, into: readonly Uint8Array[], signal: AbortSignal): Promise<string> {
    const hash = createHash("sha256");
    const stalled = new AbortController();
    const why = new BuildError(Code.Unavailable, `peer ${peer} sends nothing`, { infrastructure: true });
    const timer = setTimeout(() => stalled.abort(why), stallTimeoutMs);
    const onBytes = (piece: Uint8Array) => {
      hash.update(piece);
      timer.refresh();
      this.#lastBytesAt = this.#member.now();
      this.#lastBytes.set(peer, this.#lastBytesAt);
    };
    try {
      const { digest, layout } = this.#partial;
      const both = AbortSignal.any([signal, stalled.signal]);
      await this.#member.transport.readInto(peer, digest, layout.start(chunk), into, both, onBytes);
      return hash.digest("base64");
    } finally {
      clearTimeout(timer);
    }
  }

  #wrong(peer: string, chunk: number): BuildError {
    const text = `chunk ${chunk} of blob ${this.#partial.digest} from ${peer} is not what its digest says`;
    return new BuildError(Code.DataLoss, text, { infrastructure: true });
  }

  #blame(peer: string, error: unknown): void {
    if (!(error instanceof BuildError)) return;
    if (error.code === Code.DataLoss) this.#member.book.corrupt(peer);
    else if (error.code !== Code.NotFound) this.#member.book.failed(peer);
  }
}
