/**
 * A bucket of small durable records with revisions and a watch. Keys match `[A-Za-z0-9._=/-]+`.
 * `create`, `update` and `delete` with a revision are the only ways to decide a race; `put` is last-writer-wins.
 */
export interface KeyValue {
  get(key: string): Promise<KeyValueEntry | undefined>;
  /** @returns the new revision */
  put(key: string, value: Uint8Array): Promise<number>;
  /** @throws BuildError AlreadyExists */
  create(key: string, value: Uint8Array): Promise<number>;
  /** @throws BuildError Aborted when the entry's revision is not `revision` */
  update(key: string, value: Uint8Array, revision: number): Promise<number>;
  /** @throws BuildError Aborted when a revision is given and the entry has another one, or is gone */
  delete(key: string, revision?: number): Promise<void>;
  /**
   * First every current entry, then `ready` resolves, then each change in order. Disposing ends it.
   * A deleted or expired key arrives with value undefined.
   */
  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch;
}

export interface KeyValueEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

export interface KeyValueChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly revision: number;
}

export interface KeyValueWatch extends Disposable {
  readonly ready: Promise<void>;
  /** Resolves when all has been delivered that was in the bucket at the time of the call, whoever wrote it. */
  caughtUp(): Promise<void>;
}

/** Opens buckets by name; an implementation may give each a time to live. */
export interface KeyValueStore {
  open(bucket: string, options?: { readonly ttlMs?: number }): Promise<KeyValue>;
}
