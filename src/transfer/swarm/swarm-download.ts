import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { sleep } from "../../util/abort.ts";
import type { Semaphore } from "../../util/semaphore.ts";
import type { PiecePool } from "../piece-pool.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { type ChunkRead, ChunkSchedule } from "./chunk-schedule.ts";
import { ChunkSet } from "./chunk-set.ts";
import type { SwarmAnswer, SwarmAsk, SwarmTransport } from "./messages.ts";
import type { PartialBlob } from "./partial-blob.ts";
import type { PeerBook } from "./peer-book.ts";
import { Silence } from "./silence.ts";
import { WakeUp } from "./wake-up.ts";

/** How often each peer is spoken to at least: that is also how it is noticed that one has gone. */
const heartbeatMs = 250;
/** A peer that has neither answered nor sent anything for this long has gone: with the heartbeat that is a second at most. */
const silenceMs = 750;
/** After an answer that gave nothing, for as long nothing is asked. */
const shortestPauseMs = 20;
const longestPauseMs = 200;
/** Members of the swarm spoken to at a time, besides those named by the coordinator. */
const spokenTo = 12;
/** A peer that is not there for another reason than its own end is left for so long. */
const returnAfterMs = 2000;
/** Reads of one blob at a time. */
const readsPerBlob = 8;
/** How many times as long as one read may take all may wait for a chunk that a holder keeps back for others to pass on. */
const insistAfter = 3;

export interface SwarmMember {
  /** Where others get what is here; undefined until it listens. */
  readonly url: () => string | undefined;
  readonly zone?: string;
  readonly transport: SwarmTransport;
  readonly book: PeerBook;
  /** Bounds the reads of all downloads of this agent. */
  readonly reads: Semaphore;
  readonly pool: PiecePool;
  readonly logger: Logger;
  readonly now: () => number;
}

/**
 * Brings the missing chunks of one blob: from the holders that are named, and from other agents which fetch it too, of whom
 * the holders tell. With each peer a conversation goes on, which says who has what; reads follow the `ChunkSchedule`.
 */
export class SwarmDownload {
  readonly #member: SwarmMember;
  readonly #patience: number;
  readonly #partial: PartialBlob;
  readonly #schedule: ChunkSchedule;
  readonly #reader: ChunkReader;
  readonly #holders = new Set<string>();
  /** Peers spoken to, and until when those are left that had nothing. */
  readonly #talks = new Map<string, Promise<void>>();
  readonly #left = new Map<string, number>();
  /** Peers that have answered at least once. */
  readonly #met = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  readonly #reads = new Map<AbortController, ChunkRead>();
  readonly #news = new WakeUp();
  readonly #end = new AbortController();
  /** Average time of a read. High at first: what is slow shows only when the first ones have come. */
  #chunkMs = 1500;
  #failure: unknown;
  #fault: BuildError | undefined;

  /** @param patience milliseconds without a byte after which a download that has seen failures is given up */
  constructor(partial: PartialBlob, member: SwarmMember, patience: number) {
    this.#member = member;
    this.#partial = partial;
    this.#patience = patience;
    this.#schedule = new ChunkSchedule(partial.have, (chunk) => chunk < partial.digests.length);
    this.#reader = new ChunkReader(partial, member);
  }

  /** Holders named by the coordinator; more may be added while it runs. */
  addHolders(urls: readonly string[]): void {
    for (const url of urls) {
      this.#holders.add(url);
      this.#speakTo(url);
    }
  }

  /**
   * Resolves when all chunks are here. Nothing of it runs on afterwards.
   * @throws BuildError of the last peer when none is left; the signal's reason
   */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#end.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#bring();
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", stop);
      this.#end.abort();
      await Promise.all([...this.#talks.values(), ...this.#running]);
    }
  }

  async #bring(): Promise<void> {
    while (!this.#partial.have.complete && !this.#end.signal.aborted) {
      if (this.#fault !== undefined) throw this.#fault;
      this.#begin();
      if (this.#talks.size === 0 && this.#running.size === 0) {
        throw this.#failure ?? new BuildError(Code.NotFound, `no agent has blob ${this.#partial.digest}`);
      }
      if (this.#failure !== undefined && this.#isStuck()) throw this.#failure;
      await this.#news.wait(heartbeatMs, this.#end.signal);
    }
  }

  /** Begins all reads there is room for. */
  #begin(): void {
    const { book, now } = this.#member;
    while (this.#running.size < readsPerBlob) {
      const read = this.#schedule.next(book.ranked(this.#talks.keys()), now() - this.#patienceMs());
      if (read === undefined) return;
      this.#schedule.begin(read, now());
      const running = this.#read(read).finally(() => {
        this.#running.delete(running);
        this.#news.all();
      });
      this.#running.add(running);
    }
  }

  /** For how long a chunk may be on its way before another peer is asked for it. */
  #patienceMs(): number {
    return Math.max(1000, 4 * this.#chunkMs);
  }

  async #read(read: ChunkRead): Promise<void> {
    const cancel = new AbortController();
    this.#reads.set(cancel, read);
    const signal = AbortSignal.any([cancel.signal, this.#end.signal]);
    try {
      const ms = await this.#reader.read(read, signal);
      this.#chunkMs += (ms - this.#chunkMs) / 4;
      this.#cancel(({ chunk, peer }) => chunk === read.chunk && peer !== read.peer);
    } catch (error) {
      if (!signal.aborted) await this.#failed(read, error);
    } finally {
      this.#reads.delete(cancel);
      this.#schedule.end(read);
    }
  }

  #cancel(which: (read: ChunkRead) => boolean): void {
    for (const [cancel, read] of this.#reads) if (which(read)) cancel.abort();
  }

  async #failed({ peer, chunk }: ChunkRead, error: unknown): Promise<void> {
    this.#failure = error;
    // Peers fail with a BuildError; this is a fault here, such as a full disk.
    if (!(error instanceof BuildError)) this.#fault = BuildError.from(error);
    const fields = { blob: this.#partial.digest, chunk, peer, error: String(error) };
    this.#member.logger.debug("cannot read chunk", fields);
    // What it has is learned anew from its next answer.
    this.#schedule.forget(peer);
    if (!(error instanceof BuildError) || error.code !== Code.DataLoss) return;
    this.#leave(peer, Number.POSITIVE_INFINITY);
    if (!this.#holders.has(peer)) return;
    await this.#member.transport.checkBlob(peer, this.#partial.digest, this.#end.signal).catch(() => {});
  }

  #leave(url: string, forMs: number): void {
    this.#left.set(url, this.#member.now() + forMs);
    this.#schedule.forget(url);
    this.#cancel(({ peer }) => peer === url);
  }

  #isLeft(url: string): boolean {
    return (this.#left.get(url) ?? 0) > this.#member.now();
  }

  #speakTo(url: string): void {
    if (this.#talks.has(url) || this.#isLeft(url) || this.#end.signal.aborted) return;
    const talk = this.#talk(url).finally(() => {
      this.#talks.delete(url);
      this.#schedule.forget(url);
      this.#news.all();
    });
    this.#talks.set(url, talk);
  }

  async #talk(url: string): Promise<void> {
    const { signal } = this.#end;
    let seen = 0;
    while (!signal.aborted && !this.#partial.have.complete && !this.#isLeft(url)) {
      const ask = this.#ask(url, seen);
      let gave = false;
      try {
        const { now } = this.#member;
        using silence = new Silence(silenceMs, () => this.#reader.lastBytesFrom(url), now);
        const both = AbortSignal.any([signal, silence.signal]);
        const answer = await this.#member.transport.ask(url, this.#partial.digest, ask, both);
        seen = this.#heard(url, ask, answer);
        gave = answer.take.length > 0 || answer.digests.length > 0;
      } catch (error) {
        if (signal.aborted || !this.#maySpeakOn(url, error)) return;
      }
      await this.#pause(url, gave);
    }
  }

  #ask(url: string, seen: number): SwarmAsk {
    const { now, zone } = this.#member;
    const from = this.#member.url();
    const { chunks, count } = this.#wanted(url);
    const heldUp = this.#schedule.heldUp(now() - insistAfter * this.#patienceMs());
    const insist = heldUp !== undefined && chunks.includes(heldUp);
    return {
      ...(from === undefined ? {} : { from }),
      ...(zone === undefined ? {} : { zone }),
      have: this.#partial.have.encode(),
      want: insist ? [heldUp] : chunks,
      count,
      insist,
      digestsFrom: this.#partial.digests.length,
      seen,
      lost: [...this.#left.keys()].filter((left) => !this.#met.has(left)),
    };
  }

  /** What to ask a peer for; nothing while it is left alone after a failure, so that others are asked. */
  #wanted(url: string): { readonly chunks: readonly number[]; readonly count: number } {
    const usable = this.#member.book.ranked(this.#talks.keys());
    return usable.includes(url) ? this.#schedule.wanted(url, usable) : { chunks: [], count: 0 };
  }

  /** @returns how many chunks the peer has */
  #heard(url: string, ask: SwarmAsk, answer: SwarmAnswer): number {
    const { layout, digests } = this.#partial;
    if (answer.size !== layout.size || answer.chunkBytes !== layout.chunkBytes) {
      const what = `${answer.size} bytes in chunks of ${answer.chunkBytes}`;
      const text = `peer ${url} has another blob under digest ${this.#partial.digest}: ${what}`;
      throw new BuildError(Code.DataLoss, text, { infrastructure: true });
    }
    this.#met.add(url);
    this.#member.book.inZone(url, answer.zone);
    // Digests are taken from those whom the coordinator named, from others only when none of those is left.
    const mayName = this.#holders.has(url) || ![...this.#holders].some((holder) => this.#talks.has(holder));
    if (mayName && ask.digestsFrom === digests.length)
      digests.push(...answer.digests.slice(0, layout.count - digests.length));
    const have = ChunkSet.decode(answer.have, layout.count);
    this.#schedule.peerHas(url, have, answer.whole);
    if (answer.whole) this.#schedule.answered(url, ask.want, answer.take, this.#member.now());
    for (const peer of answer.peers) this.#meet(peer);
    this.#news.all();
    return have.size;
  }

  #meet(url: string): void {
    if (url !== this.#member.url() && this.#talks.size < this.#holders.size + spokenTo) this.#speakTo(url);
  }

  /** Whether a peer that gave no answer is tried again: the last of all has time. */
  #maySpeakOn(url: string, error: unknown): boolean {
    this.#failure = error;
    if (isUnreachable(error) && this.#talks.size === 1 && !this.#isStuck()) return true;
    const { book, logger } = this.#member;
    logger.debug("peer does not answer", { blob: this.#partial.digest, peer: url, error: String(error) });
    const isLie = error instanceof BuildError && error.code === Code.DataLoss;
    if (isUnreachable(error)) book.failed(url);
    this.#leave(url, isLie ? Number.POSITIVE_INFINITY : returnAfterMs);
    return false;
  }

  #isStuck(): boolean {
    return this.#member.now() - this.#reader.lastBytesAt > this.#patience;
  }

  /** Until there is something to ask, or it is time to be heard of. */
  async #pause(url: string, gave: boolean): Promise<void> {
    const { now } = this.#member;
    const { signal } = this.#end;
    if (!gave)
      await sleep(Math.min(longestPauseMs, Math.max(shortestPauseMs, this.#chunkMs / 4)), signal).catch(() => {});
    if (!this.#schedule.isHolder(url)) return;
    const until = now() + heartbeatMs;
    const isQuiet = () => this.#wanted(url).chunks.length === 0;
    while (now() < until && !signal.aborted && !this.#partial.have.complete && !this.#isLeft(url) && isQuiet()) {
      if (gave && this.#partial.digests.length < this.#partial.layout.count) return;
      await this.#news.wait(until - now(), signal);
    }
  }
}

/** It may be there again in a moment; one that refuses connections is not. */
function isUnreachable(error: unknown): boolean {
  if (!(error instanceof BuildError)) return true;
  return error.code === Code.Unavailable && (error.cause as NodeJS.ErrnoException | undefined)?.code !== "ECONNREFUSED";
}
