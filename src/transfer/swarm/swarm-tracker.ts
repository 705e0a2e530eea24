import { ChunkSet } from "./chunk-set.ts";
import type { SwarmAsk } from "./messages.ts";

/** An agent that has not asked for this long passes nothing on. They ask four times a second. */
const silentAfterMs = 1500;
const forgottenAfterMs = 10_000;
/** Chunks on their way from here at a time, divided among those who fetch: few at a time arrive sooner and are passed on sooner. */
const outstandingChunks = 8;
/** Peers named in one answer. */
const namedPeers = 32;

interface Receiver {
  readonly have: ChunkSet;
  readonly seenAt: number;
}

interface Gift {
  readonly to: string;
  readonly at: number;
}

/**
 * Who fetches one blob, and, where the blob is whole, who was given which chunk. Each chunk is given to one agent, from whom
 * the others get it: that is what keeps them all from taking the whole blob from here.
 */
export class SwarmTracker {
  readonly #count: number;
  readonly #now: () => number;
  readonly #receivers = new Map<string, Receiver>();
  readonly #gifts = new Map<number, Gift>();
  readonly #given = new Map<number, number>();
  /** Average time from the gift of a chunk until its receiver has it. */
  #usualMs = 500;

  constructor(count: number, now: () => number) {
    this.#count = count;
    this.#now = now;
  }

  /** Notes who asks and what it has. @returns the others who fetch the blob */
  heard(ask: SwarmAsk): string[] {
    const now = this.#now();
    if (ask.from !== undefined) this.#note(ask.from, ChunkSet.decode(ask.have, this.#count), now);
    for (const [url, { seenAt }] of this.#receivers) if (seenAt < now - forgottenAfterMs) this.#receivers.delete(url);
    const others = [...this.#receivers.keys()].filter((url) => url !== ask.from && this.#isLive(url));
    return others.length <= namedPeers ? others : sample(others, namedPeers);
  }

  /** Chunks of `ask.want` that the asker shall read here: those given least often, first ones first. */
  give(ask: SwarmAsk): number[] {
    const asker = ask.from ?? "";
    const free = ask.want.filter((chunk) => chunk < this.#count && (ask.insist || !this.#isElsewhere(chunk, ask)));
    const rank = (chunk: number) => (this.#given.get(chunk) ?? 0) * this.#count + chunk;
    const chunks = free.sort((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, this.#room(ask)));
    for (const chunk of chunks) {
      this.#given.set(chunk, (this.#given.get(chunk) ?? 0) + 1);
      this.#gifts.set(chunk, { to: asker, at: this.#now() });
    }
    return chunks;
  }

  #note(url: string, have: ChunkSet, now: number): void {
    for (const [chunk, gift] of this.#gifts) {
      if (gift.to !== url || !have.has(chunk)) continue;
      this.#usualMs += (now - gift.at - this.#usualMs) / 8;
      this.#gifts.delete(chunk);
    }
    this.#receivers.set(url, { have, seenAt: now });
  }

  #isLive(url: string): boolean {
    return (this.#receivers.get(url)?.seenAt ?? Number.NEGATIVE_INFINITY) > this.#now() - silentAfterMs;
  }

  /** Another agent that the asker can reach has it, or will soon. */
  #isElsewhere(chunk: number, ask: SwarmAsk): boolean {
    const mayHelp = (url: string) => url !== ask.from && this.#isLive(url) && !ask.lost.includes(url);
    const gift = this.#gifts.get(chunk);
    if (gift !== undefined && mayHelp(gift.to) && !this.#isOverdue(gift)) return true;
    for (const [url, { have }] of this.#receivers) if (have.has(chunk) && mayHelp(url)) return true;
    return false;
  }

  #isOverdue(gift: Gift): boolean {
    return this.#now() - gift.at > Math.max(2000, 6 * this.#usualMs);
  }

  /** How many chunks may be given now. */
  #room(ask: SwarmAsk): number {
    const asker = ask.from ?? "";
    const live = [...this.#receivers.keys()].filter((url) => this.#isLive(url)).length;
    const share = Math.max(1, Math.floor(outstandingChunks / Math.max(1, live)));
    const outstanding = [...this.#gifts].filter(([, gift]) => this.#isLive(gift.to) && !this.#isOverdue(gift));
    const own = outstanding.filter(([chunk, gift]) => gift.to === asker && !ask.want.includes(chunk)).length;
    // One of the share is always let in: otherwise those who came first might keep others waiting for long.
    const left = Math.max(own === 0 ? 1 : 0, outstandingChunks - outstanding.length);
    return Math.min(ask.count, left, share - own);
  }
}

function sample<T>(items: readonly T[], count: number): T[] {
  const rest = [...items];
  return Array.from({ length: count }, () => rest.splice(Math.floor(Math.random() * rest.length), 1)[0] as T);
}
