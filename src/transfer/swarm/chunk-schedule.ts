import type { ChunkSet } from "./chunk-set.ts";

/** Chunks beyond the first missing one that may be asked for: who unpacks reads in order, and what lies far ahead must wait on disk. */
const windowChunks = 48;
/** Reads from one peer at a time: enough to keep its link busy, few enough to leave chunks for others. */
const readsPerPeer = 4;
/** Chunks a holder may have given before they are read: then no read waits for its answer. */
const givenAhead = 8;

interface Peer {
  have: ChunkSet;
  /** A holder of the whole, which gives chunks out; from all others any chunk they have may be read. */
  holder: boolean;
  readonly given: Set<number>;
  readonly reading: Set<number>;
}

export interface ChunkRead {
  readonly peer: string;
  readonly chunk: number;
}

/** Which chunk is to be read from whom next. Keeps no time of its own and does nothing itself. */
export class ChunkSchedule {
  readonly #done: ChunkSet;
  readonly #isVerifiable: (chunk: number) => boolean;
  readonly #peers = new Map<string, Peer>();
  /** Since when each chunk is being read, by peer. */
  readonly #reads = new Map<number, Map<string, number>>();
  /** Since when holders were asked for a chunk and did not give it. */
  readonly #refused = new Map<number, number>();
  #first = 0;

  /**
   * @param done what is here; the caller adds to it
   * @param isVerifiable whether the digest of a chunk is known
   */
  constructor(done: ChunkSet, isVerifiable: (chunk: number) => boolean) {
    this.#done = done;
    this.#isVerifiable = isVerifiable;
  }

  peerHas(url: string, have: ChunkSet, holder: boolean): void {
    const peer = this.#peers.get(url);
    if (peer === undefined) this.#peers.set(url, { have, holder, given: new Set(), reading: new Set() });
    else Object.assign(peer, { have, holder });
  }

  forget(url: string): void {
    this.#peers.delete(url);
  }

  isHolder(url: string): boolean {
    return this.#peers.get(url)?.holder ?? false;
  }

  /** What to ask a holder for: chunks of the window that nobody among `usable` has and no holder has given. */
  wanted(holder: string, usable: readonly string[]): { readonly chunks: readonly number[]; readonly count: number } {
    const peer = this.#peers.get(holder);
    const count = givenAhead - (peer?.given.size ?? 0);
    if (count <= 0) return { chunks: [], count: 0 };
    const partial = this.#partial(usable);
    const chunks = this.#window().filter(
      (chunk) => !this.#reads.has(chunk) && !this.#isGiven(chunk) && !partial.some(({ have }) => have.has(chunk)),
    );
    return { chunks, count };
  }

  /** The first chunk missing, if holders have kept it back since before `time`. */
  heldUp(time: number): number | undefined {
    const [first] = this.#window();
    return first !== undefined && (this.#refused.get(first) ?? time) < time ? first : undefined;
  }

  answered(holder: string, asked: readonly number[], given: readonly number[], now: number): void {
    const peer = this.#peers.get(holder);
    for (const chunk of given) {
      this.#refused.delete(chunk);
      if (chunk < this.#done.count && !this.#done.has(chunk)) peer?.given.add(chunk);
    }
    for (const chunk of asked) {
      if (!given.includes(chunk) && !this.#refused.has(chunk)) this.#refused.set(chunk, now);
    }
  }

  /**
   * The next read, if there is one to begin.
   * @param ranked peers that may be used, best first
   * @param hedgeBefore when there is nothing else to do, a read begun before this time is done a second time elsewhere
   */
  next(ranked: readonly string[], hedgeBefore: number): ChunkRead | undefined {
    const free = ranked.filter((url) => (this.#peers.get(url)?.reading.size ?? readsPerPeer) < readsPerPeer);
    if (free.length === 0) return undefined;
    const open = this.#window().filter((chunk) => !this.#reads.has(chunk) && this.#isVerifiable(chunk));
    return this.#rarest(free, open) ?? this.#given(free, open) ?? this.#hedge(free, hedgeBefore);
  }

  begin({ peer, chunk }: ChunkRead, now: number): void {
    this.#peers.get(peer)?.reading.add(chunk);
    const reads = this.#reads.get(chunk) ?? new Map<string, number>();
    this.#reads.set(chunk, reads.set(peer, now));
  }

  /** A read has ended, well or not. */
  end({ peer, chunk }: ChunkRead): void {
    const known = this.#peers.get(peer);
    known?.reading.delete(chunk);
    known?.given.delete(chunk);
    const reads = this.#reads.get(chunk);
    reads?.delete(peer);
    if (reads?.size === 0) this.#reads.delete(chunk);
    if (!this.#done.has(chunk)) return;
    this.#refused.delete(chunk);
    for (const { given } of this.#peers.values()) given.delete(chunk);
  }

  #window(): number[] {
    while (this.#first < this.#done.count && this.#done.has(this.#first)) this.#first++;
    const chunks: number[] = [];
    for (let chunk = this.#first; chunk < Math.min(this.#done.count, this.#first + windowChunks); chunk++) {
      if (!this.#done.has(chunk)) chunks.push(chunk);
    }
    return chunks;
  }

  #partial(urls: readonly string[]): Peer[] {
    return urls.flatMap((url) => this.#peers.get(url) ?? []).filter((peer) => !peer.holder);
  }

  #isGiven(chunk: number): boolean {
    for (const { given } of this.#peers.values()) if (given.has(chunk)) return true;
    return false;
  }

  /** The chunk that fewest have, so that there are soon more of it; of equals any, so that not all read the same. */
  #rarest(free: readonly string[], open: readonly number[]): ChunkRead | undefined {
    const partial = [...this.#peers.values()].filter((peer) => !peer.holder);
    let best: (ChunkRead & { readonly copies: number }) | undefined;
    for (const chunk of open) {
      const copies = partial.filter(({ have }) => have.has(chunk)).length + Math.random();
      if (best !== undefined && best.copies <= copies) continue;
      const peer = free.find((url) => this.#canGive(url, chunk));
      if (peer !== undefined) best = { peer, chunk, copies };
    }
    return best && { peer: best.peer, chunk: best.chunk };
  }

  #canGive(url: string, chunk: number): boolean {
    const peer = this.#peers.get(url);
    return peer !== undefined && !peer.holder && peer.have.has(chunk);
  }

  /** The first chunk that a holder has given. */
  #given(free: readonly string[], open: readonly number[]): ChunkRead | undefined {
    for (const chunk of open) {
      const peer = free.find((url) => this.#peers.get(url)?.given.has(chunk));
      if (peer !== undefined) return { peer, chunk };
    }
    return undefined;
  }

  /** The oldest read, done once more elsewhere; by a holder only if it is the first chunk missing, on which all waits. */
  #hedge(free: readonly string[], before: number): ChunkRead | undefined {
    let oldest: (ChunkRead & { readonly at: number }) | undefined;
    for (const [chunk, reads] of this.#reads) {
      const [at = before] = reads.values();
      if (reads.size > 1 || at >= (oldest?.at ?? before)) continue;
      const others = free.filter((url) => !reads.has(url));
      const peer =
        others.find((url) => this.#canGive(url, chunk)) ??
        (chunk === this.#first ? others.find((url) => this.#peers.get(url)?.holder) : undefined);
      if (peer !== undefined) oldest = { peer, chunk, at };
    }
    return oldest && { peer: oldest.peer, chunk: oldest.chunk };
  }
}
