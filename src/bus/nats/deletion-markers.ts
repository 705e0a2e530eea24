import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";

interface Marker {
  readonly key: string;
  readonly revision: number;
  /** When it was heard, by a clock that does not jump. */
  readonly seenAt: number;
}

/**
 * Takes away the markers that deleted keys leave in a bucket: nothing else does, and who opens the bucket reads them all. A marker
 * stays long enough for watchers that were cut off for a while. Works as deletions are heard, one after the other; what it does
 * twice, or several processes do, does no harm.
 */
export class DeletionMarkers {
  readonly #connection: NatsConnection;
  readonly #bucket: string;
  readonly #ageMs: number;
  readonly #markers: Marker[] = [];
  #manager: Promise<JetStreamManager> | undefined;
  #busy = false;

  /** @param ageMs how long a marker stays */
  constructor(connection: NatsConnection, bucket: string, ageMs: number) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#ageMs = ageMs;
  }

  saw(marker: Omit<Marker, "seenAt">): void {
    this.#markers.push({ ...marker, seenAt: performance.now() });
    if (!this.#busy) void this.#removeOld();
  }

  /** Never rejects. */
  async #removeOld(): Promise<void> {
    this.#busy = true;
    try {
      for (let oldest = this.#markers[0]; oldest !== undefined; oldest = this.#markers[0]) {
        if (performance.now() - oldest.seenAt < this.#ageMs) break;
        this.#markers.shift();
        await this.#remove(oldest);
      }
    } catch {
      // NATS is away: the next deletion, or the next process, sees to it.
      this.#manager = undefined;
    } finally {
      this.#busy = false;
    }
  }

  /** What was written under the key since then stays. */
  async #remove({ key, revision }: Marker): Promise<void> {
    this.#manager ??= jetstreamManager(this.#connection, { checkAPI: false });
    const { streams } = await this.#manager;
    const filter = `$KV.${this.#bucket}.${key}`;
    await streams.purge(`KV_${this.#bucket}`, { filter, seq: revision + 1 });
  }
}
