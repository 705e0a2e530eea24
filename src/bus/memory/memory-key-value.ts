import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type {
  KeyValue,
  KeyValueChange,
  KeyValueEntry,
  KeyValueStore,
  KeyValueWatch,
} from "../../core/seams/key-value.ts";

/** Buckets in this process's memory; gone when it ends. */
export class MemoryKeyValueStore implements KeyValueStore {
  readonly #buckets = new Map<string, MemoryKeyValue>();

  async open(bucket: string): Promise<KeyValue> {
    let found = this.#buckets.get(bucket);
    if (found === undefined) {
      found = new MemoryKeyValue();
      this.#buckets.set(bucket, found);
    }
    return found;
  }
}

class MemoryKeyValue implements KeyValue {
  readonly #entries = new Map<string, KeyValueEntry>();
  readonly #watchers = new WatcherSet();
  #revision = 0;

  async get(key: string): Promise<KeyValueEntry | undefined> {
    return this.#entries.get(key);
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    const revision = ++this.#revision;
    this.#entries.set(key, { key, value, revision });
    this.#watchers.notify({ key, value, revision });
    return revision;
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    if (this.#entries.has(key)) throw keyExists(key);
    return this.put(key, value);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    if ((this.#entries.get(key)?.revision ?? 0) !== revision) throw revisionMismatch(key);
    return this.put(key, value);
  }

  async delete(key: string, revision?: number): Promise<void> {
    if (revision !== undefined && this.#entries.get(key)?.revision !== revision) throw revisionMismatch(key);
    if (!this.#entries.delete(key)) return;
    this.#watchers.notify({ key, value: undefined, revision: ++this.#revision });
  }

  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch {
    return this.#watchers.add(prefix, onEntry, [...this.#entries.values()]);
  }
}

/** The watchers of one bucket kept in this process. Notifies in order, never from inside the caller's call. */
export class WatcherSet {
  readonly #watchers = new Set<{ readonly prefix: string; readonly onEntry: (entry: KeyValueChange) => void }>();

  add(prefix: string, onEntry: (entry: KeyValueChange) => void, current: readonly KeyValueEntry[]): KeyValueWatch {
    const watcher = { prefix, onEntry };
    this.#watchers.add(watcher);
    const ready = Promise.resolve().then(() => {
      for (const entry of current) if (entry.key.startsWith(prefix)) this.#call(watcher, entry);
    });
    return {
      ready,
      // Changes are delivered in microtasks, in order.
      caughtUp: () => ready,
      [Symbol.dispose]: () => void this.#watchers.delete(watcher),
    };
  }

  notify(change: KeyValueChange): void {
    for (const watcher of this.#watchers) {
      if (change.key.startsWith(watcher.prefix)) queueMicrotask(() => this.#call(watcher, change));
    }
  }

  #call(watcher: { readonly onEntry: (entry: KeyValueChange) => void }, change: KeyValueChange): void {
    if (this.#watchers.has(watcher as never)) watcher.onEntry(change);
  }
}

export function keyExists(key: string): BuildError {
  return new BuildError(Code.AlreadyExists, `key "${key}" exists already`);
}

export function revisionMismatch(key: string): BuildError {
  return new BuildError(Code.Aborted, `key "${key}" was changed by another writer`);
}
