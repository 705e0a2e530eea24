import { BuildError, isInfrastructureError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { KeyValue, KeyValueChange, KeyValueEntry, KeyValueStore, KeyValueWatch } from "../core/seams/key-value.ts";

export interface PatientKeyValueOptions {
  readonly clock: Clock;
  /** The server will not come back: nothing is worth another try. */
  readonly isOver: () => boolean;
  /** Default 30 s, as long as a server takes to start again with much state. */
  readonly patienceMs?: number;
}

const retryDelayMs = 200;

/**
 * Repeats what a server that is away for a while did not answer. A change may have gone through all the same: one that meets its
 * own value on a later try has succeeded.
 */
export class PatientKeyValueStore implements KeyValueStore {
  readonly #inner: KeyValueStore;
  readonly #options: PatientKeyValueOptions;

  constructor(inner: KeyValueStore, options: PatientKeyValueOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  async open(bucket: string, options: { readonly ttlMs?: number } = {}): Promise<KeyValue> {
    return new PatientKeyValue(await this.#inner.open(bucket, options), this.#options);
  }
}

class PatientKeyValue implements KeyValue {
  readonly #inner: KeyValue;
  readonly #options: PatientKeyValueOptions;

  constructor(inner: KeyValue, options: PatientKeyValueOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    return this.#repeat(() => this.#inner.get(key));
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    return this.#repeat(() => this.#inner.put(key, value));
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    return this.#repeat(
      () => this.#inner.create(key, value),
      () => this.#written(key, value),
    );
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    return this.#repeat(
      () => this.#inner.update(key, value, revision),
      () => this.#written(key, value),
    );
  }

  async delete(key: string, revision?: number): Promise<void> {
    await this.#repeat(
      async () => {
        await this.#inner.delete(key, revision);
        return true;
      },
      async () => ((await this.get(key)) === undefined ? true : undefined),
    );
  }

  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch {
    return this.#inner.watch(prefix, onEntry);
  }

  /** @param done asked when a repeated change is refused: what an earlier try has come to, undefined when not to this change */
  async #repeat<R>(work: () => Promise<R>, done?: () => Promise<R | undefined>): Promise<R> {
    const { clock, isOver, patienceMs = 30_000 } = this.#options;
    const giveUpAt = performance.now() + patienceMs;
    for (let repeated = false; ; repeated = true) {
      try {
        return await work();
      } catch (error) {
        const earlier = repeated && isRefusal(error) ? await done?.() : undefined;
        if (earlier !== undefined) return earlier;
        if (!isInfrastructureError(error) || isOver() || performance.now() > giveUpAt) throw error;
      }
      await clock.sleep(retryDelayMs);
    }
  }

  async #written(key: string, value: Uint8Array): Promise<number | undefined> {
    const entry = await this.get(key);
    return entry !== undefined && Buffer.compare(entry.value, value) === 0 ? entry.revision : undefined;
  }
}

/** Somebody has changed the key. */
function isRefusal(error: unknown): boolean {
  return error instanceof BuildError && [Code.Aborted, Code.AlreadyExists].includes(error.code as never);
}
