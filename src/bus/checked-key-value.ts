import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { KeyValue, KeyValueChange, KeyValueEntry, KeyValueStore, KeyValueWatch } from "../core/seams/key-value.ts";
import type { Logger } from "../core/seams/logger.ts";

/** True for a value its readers understand; may throw for one that is not even decodable. */
export type ValueCheck = (value: Uint8Array) => boolean;

/**
 * Keeps from the readers of buckets what they could not read: a value that was damaged, or one of a kind that only a newer
 * version knows. Such an entry is as if it were absent. It stays as it is until somebody writes its key.
 */
export class CheckedKeyValueStore implements KeyValueStore {
  readonly #inner: KeyValueStore;
  readonly #checks: Readonly<Record<string, ValueCheck>>;
  readonly #logger: Logger;

  /** @param checks by bucket; a bucket without one is not checked */
  constructor(inner: KeyValueStore, checks: Readonly<Record<string, ValueCheck>>, logger: Logger) {
    this.#inner = inner;
    this.#checks = checks;
    this.#logger = logger;
  }

  async open(bucket: string, options: { readonly ttlMs?: number } = {}): Promise<KeyValue> {
    const inner = await this.#inner.open(bucket, options);
    const check = this.#checks[bucket];
    return check === undefined ? inner : new CheckedKeyValue(inner, check, this.#logger.child({ bucket }));
  }
}

class CheckedKeyValue implements KeyValue {
  readonly #inner: KeyValue;
  readonly #check: ValueCheck;
  readonly #logger: Logger;

  constructor(inner: KeyValue, check: ValueCheck, logger: Logger) {
    this.#inner = inner;
    this.#check = check;
    this.#logger = logger;
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    const entry = await this.#inner.get(key);
    return entry !== undefined && this.#isReadable(key, entry.value) ? entry : undefined;
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    return this.#inner.put(key, value);
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    try {
      return await this.#inner.create(key, value);
    } catch (error) {
      if (!(error instanceof BuildError) || error.code !== Code.AlreadyExists) throw error;
      const entry = await this.#inner.get(key);
      if (entry === undefined || this.#isReadable(key, entry.value)) throw error;
      return this.#inner.update(key, value, entry.revision);
    }
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    return this.#inner.update(key, value, revision);
  }

  async delete(key: string, revision?: number): Promise<void> {
    await this.#inner.delete(key, revision);
  }

  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch {
    return this.#inner.watch(prefix, (change) => {
      const { key, value, revision } = change;
      onEntry(value === undefined || this.#isReadable(key, value) ? change : { key, value: undefined, revision });
    });
  }

  #isReadable(key: string, value: Uint8Array): boolean {
    try {
      if (this.#check(value)) return true;
    } catch {
      // Said below.
    }
    this.#logger.warn("unreadable entry is passed over", { key, bytes: value.length });
    return false;
  }
}
