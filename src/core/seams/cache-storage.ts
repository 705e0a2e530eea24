import type { Digest } from "../values/digest.ts";

/**
 * The graph of cache keys: which key follows from which input key through which op (map d10). Metadata only; what a key's
 * result *is* lies behind CacheResultStorage. Keys are digests; `random:` keys are never given to a storage.
 */
export interface CacheKeyStorage {
  /** True when the key has a result or a link. */
  exists(key: string): Promise<boolean>;
  /** Keys reached from `key` by one link, i.e. candidates for a vertex whose `input`-th input has that key. */
  links(key: string, link: CacheLink): Promise<readonly string[]>;
  addLink(key: string, link: CacheLink, target: string): Promise<void>;
  results(key: string): Promise<readonly CacheResultRecord[]>;
  addResult(key: string, record: CacheResultRecord): Promise<void>;
  /** Drops a result everywhere, and keys that lead nowhere any more. */
  release(resultId: string): Promise<void>;
  /** Drops keys from which no result can be reached: what a crash, a lost write or a ring of links has left. */
  releaseUnreferenced(): Promise<void>;
  /** All links that lead to `key`; for cache export. */
  backlinks(key: string): Promise<readonly CacheBacklink[]>;
  /** Every key; for prune and debugging. */
  keys(): AsyncIterable<string>;
}

export interface CacheLink {
  /** Input index on the op that the link leads to. */
  readonly input: number;
  /** Output index of that op. */
  readonly output: number;
  /** The op's own cache map digest. */
  readonly digest: Digest;
  /** Selector digest or empty. */
  readonly selector: string;
}

/** A link seen from where it leads to. An imported cache knows op outputs by root key only. */
export interface CacheBacklink {
  /** The key it comes from. */
  readonly key: string;
  readonly input: number;
  readonly selector: string;
  /** Root key of the op output: `sha256("<op digest>@<output>")`. */
  readonly rootKey: Digest;
}

export interface CacheResultRecord {
  readonly id: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
}

/** What a cached result is. */
export interface CacheResultStorage<T> {
  /** Stores a result; must be durable when it resolves (invariant 3 of ARCHITECTURE.md). */
  save(result: T, createdAt: number): Promise<CacheResultRecord>;
  /** @returns undefined when the result can no longer be had; the caller then releases the record */
  load(record: CacheResultRecord): Promise<T | undefined>;
  exists(id: string): Promise<boolean>;
}
