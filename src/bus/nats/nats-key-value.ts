import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { type KV, Kvm, type KvWatchEntry } from "@nats-io/kv";
import type { NatsConnection, QueuedIterator } from "@nats-io/nats-core";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type {
  KeyValue,
  KeyValueChange,
  KeyValueEntry,
  KeyValueStore,
  KeyValueWatch,
} from "../../core/seams/key-value.ts";
import { keyExists, revisionMismatch } from "../memory/memory-key-value.ts";
import { DeletionMarkers } from "./deletion-markers.ts";

/** A request that was under way when NATS ended is not answered: the sooner that is noticed, the better. */
const answerTimeoutMs = 2000;

/** JetStream KV buckets, kept on disk by the NATS servers. */
export class NatsKeyValueStore implements KeyValueStore {
  readonly #connection: NatsConnection;
  readonly #kvm: Kvm;
  readonly #prefix: string;
  readonly #markerAgeMs: number;

  /**
   * @param prefix of the bucket names, so that several fleets can share one NATS
   * @param markerAgeMs how long a deleted key is marked as such, for watchers that were cut off
   */
  constructor(connection: NatsConnection, prefix = "buildfleet", markerAgeMs = 3_600_000) {
    this.#connection = connection;
    this.#kvm = new Kvm(jetstream(connection, { timeout: answerTimeoutMs }));
    this.#prefix = prefix;
    this.#markerAgeMs = markerAgeMs;
  }

  async open(bucket: string, options: { readonly ttlMs?: number } = {}): Promise<KeyValue> {
    const name = `${this.#prefix}-${bucket}`;
    try {
      return new NatsKeyValue(
        await this.#kvm.create(name, { history: 1, ...(options.ttlMs === undefined ? {} : { ttl: options.ttlMs }) }),
        new DeletionMarkers(this.#connection, name, this.#markerAgeMs),
      );
    } catch (error) {
      throw new BuildError(Code.Unavailable, `cannot open bucket "${name}" on NATS: ${describe(error)}`, {
        cause: error,
        infrastructure: true,
      });
    }
  }
}

/** JetStream API error: wrong last sequence, i.e. somebody else wrote first. */
const wrongLastSequence = 10071;

class NatsKeyValue implements KeyValue {
  readonly #kv: KV;
  readonly #markers: DeletionMarkers;

  constructor(kv: KV, markers: DeletionMarkers) {
    this.#kv = kv;
    this.#markers = markers;
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    const entry = await answered(key, this.#kv.get(key));
    if (entry === null || entry.operation !== "PUT") return undefined;
    return { key, value: entry.value, revision: entry.revision };
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    return answered(key, this.#kv.put(key, value));
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    try {
      return await this.#kv.create(key, value);
    } catch (error) {
      throw isWrongSequence(error) ? keyExists(key) : bucketError(error, key);
    }
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    try {
      return await this.#kv.update(key, value, revision);
    } catch (error) {
      throw isWrongSequence(error) ? revisionMismatch(key) : bucketError(error, key);
    }
  }

  async delete(key: string, revision?: number): Promise<void> {
    try {
      await this.#kv.delete(key, revision === undefined ? {} : { previousSeq: revision });
    } catch (error) {
      throw isWrongSequence(error) ? revisionMismatch(key) : bucketError(error, key);
    }
  }

  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch {
    const ready = Promise.withResolvers<void>();
    ready.promise.catch(() => {});
    const delivered = new Progress();
    let iterator: QueuedIterator<KvWatchEntry> | undefined;
    let stopped = false;
    const run = async () => {
      const before = await this.#lastRevision();
      // What was written before and is no more, as an old deletion, is never delivered.
      ready.promise.then(() => delivered.reach(before)).catch(() => {});
      iterator = await this.#kv.watch();
      if (stopped) iterator.stop();
      // An empty bucket sends no first entry to carry `delta`, so ask.
      const { values } = await this.#kv.status();
      if (values === 0) ready.resolve();
      for await (const entry of iterator) {
        if (!entry.isUpdate && (entry.delta ?? 0) === 0) queueMicrotask(ready.resolve);
        if (entry.isUpdate) ready.resolve();
        const { key, revision } = entry;
        const value = entry.operation === "PUT" ? entry.value : undefined;
        if (value === undefined) this.#markers.saw({ key, revision });
        if (key.startsWith(prefix)) onEntry({ key, value, revision });
        delivered.reach(revision);
      }
    };
    run().catch((error) => ready.reject(error));
    return {
      ready: ready.promise,
      caughtUp: async () => delivered.past(await this.#lastRevision()),
      [Symbol.dispose]: () => {
        stopped = true;
        iterator?.stop();
      },
    };
  }

  /** Of any key, also of one that is no more. */
  async #lastRevision(): Promise<number> {
    return (await this.#kv.status()).streamInfo.state.last_seq;
  }
}

/** How far something has come that counts upwards. */
class Progress {
  #reached = 0;
  readonly #waiting = new Map<() => void, number>();

  reach(count: number): void {
    if (count <= this.#reached) return;
    this.#reached = count;
    for (const [resolve, wanted] of this.#waiting) {
      if (wanted > count) continue;
      this.#waiting.delete(resolve);
      resolve();
    }
  }

  async past(count: number): Promise<void> {
    if (count > this.#reached) await new Promise<void>((resolve) => this.#waiting.set(resolve, count));
  }
}

function isWrongSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === wrongLastSequence;
}

async function answered<T>(key: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw bucketError(error, key);
  }
}

/** NATS is away, or has no room: nothing that a build step did. */
function bucketError(error: unknown, key: string): BuildError {
  return new BuildError(Code.Unavailable, `key "${key}" on NATS: ${describe(error)}`, {
    cause: error,
    infrastructure: true,
  });
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
