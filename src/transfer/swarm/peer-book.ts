import { LruMap } from "../../util/lru-map.ts";

/** Throughput counted for a peer of which nothing is known: high, so that each is tried. */
const unknownBytesPerMs = 1e6;
const rememberedPeers = 1000;
const firstBackoffMs = 500;
const longestBackoffMs = 30_000;
/** How much better a peer of the same zone is, all else equal. */
const sameZone = 4;

interface PeerRecord {
  bytesPerMs: number | undefined;
  inFlight: number;
  failures: number;
  avoidUntil: number;
  zone: string | undefined;
}

/** What an agent has seen of the others, over all blobs: how fast they are, how busy with its own reads, whether they fail. */
export class PeerBook {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #zone: string | undefined;
  readonly #peers = new LruMap<string, PeerRecord>(rememberedPeers);

  /** @param random above 0, below 1 */
  constructor(zone: string | undefined, now: () => number, random: () => number = Math.random) {
    this.#zone = zone;
    this.#now = now;
    this.#random = random;
  }

  /**
   * The peers in the order to ask them. Each may come first, with a chance that grows with its nearness and speed and falls with
   * the reads of ours under way there: if all agents asked the best, it would be that no more. Those that failed of late are left
   * out unless there are no others.
   */
  ranked(urls: Iterable<string>): string[] {
    const all = [...urls];
    const sound = all.filter((url) => this.#peer(url).avoidUntil <= this.#now());
    return (sound.length > 0 ? sound : all)
      .map((url) => ({ url, draw: -Math.log(this.#random()) / this.#score(this.#peer(url)) }))
      .sort((a, b) => a.draw - b.draw)
      .map(({ url }) => url);
  }

  inZone(url: string, zone: string | undefined): void {
    this.#peer(url).zone = zone;
  }

  begin(url: string): void {
    this.#peer(url).inFlight++;
  }

  end(url: string): void {
    this.#peer(url).inFlight--;
  }

  succeeded(url: string, bytes: number, ms: number): void {
    const peer = this.#peer(url);
    const rate = bytes / Math.max(ms, 0.1);
    peer.bytesPerMs = peer.bytesPerMs === undefined ? rate : peer.bytesPerMs + (rate - peer.bytesPerMs) / 4;
    peer.failures = 0;
    peer.avoidUntil = 0;
  }

  /** The peer is left alone for a while, longer with each failure in a row. */
  failed(url: string): void {
    const peer = this.#peer(url);
    const backoff = Math.min(longestBackoffMs, firstBackoffMs * 2 ** peer.failures++);
    peer.avoidUntil = this.#now() + backoff;
  }

  /** It gave wrong bytes. */
  corrupt(url: string): void {
    this.#peer(url).avoidUntil = this.#now() + longestBackoffMs;
  }

  #score(peer: PeerRecord): number {
    const near = this.#zone !== undefined && peer.zone === this.#zone ? sameZone : 1;
    return ((peer.bytesPerMs ?? unknownBytesPerMs) * near) / (1 + peer.inFlight);
  }

  #peer(url: string): PeerRecord {
    const fresh = () => ({ bytesPerMs: undefined, inFlight: 0, failures: 0, avoidUntil: 0, zone: undefined });
    return this.#peers.get(url, fresh);
  }
}
