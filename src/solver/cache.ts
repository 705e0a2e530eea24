import type { Digest } from "../core/values/digest.ts";
import type { CacheKey, CacheKeyWithSelector } from "./cache-key.ts";
import type { CacheManager } from "./cache-manager.ts";

/** Where in an op a link ends. */
export interface LinkSite {
  /** Cache map digest of the op. */
  readonly digest: Digest;
  readonly output: number;
  readonly input: number;
}

/** A key that a store knows, by the store's own name. */
export interface CacheCandidate<T> {
  readonly manager: CacheManager<T>;
  readonly id: string;
}

/** A stored result that could serve an edge. */
export interface CacheRecord<T> {
  readonly id: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  /** Breaks ties: the local store before imported ones. */
  readonly priority: number;
  readonly manager: CacheManager<T>;
  readonly key: CacheKey<T>;
}

/**
 * What the solver asks of cache: one store (CacheManager) or several (CombinedCacheManager). Look-ups are metadata only;
 * `load` makes a record into a result; `save` must be durable when it resolves.
 */
export interface SolverCache<T> {
  readonly id: string;
  /** Stores that know an op without inputs. */
  root(digest: Digest, output: number): Promise<readonly CacheCandidate<T>[]>;
  /** Keys of the op at `site` that follow from any of these equivalent input keys. All of them are linked from then on. */
  query(inputs: readonly CacheKeyWithSelector<T>[], site: LinkSite): Promise<readonly CacheCandidate<T>[]>;
  /** Links more input keys to candidates that another key of the same input has led to. */
  connect(
    inputs: readonly CacheKeyWithSelector<T>[],
    site: LinkSite,
    candidates: readonly CacheCandidate<T>[],
  ): Promise<void>;
  records(candidate: CacheCandidate<T>, key: CacheKey<T>): Promise<readonly CacheRecord<T>[]>;
  /** @returns undefined when the result is gone; the record is then released */
  load(record: CacheRecord<T>, signal: AbortSignal): Promise<T | undefined>;
  /** Nobody finds the record any more: it could be loaded, but what it names cannot be read. */
  release(record: CacheRecord<T>): Promise<void>;
  /** @returns undefined for an ephemeral key, which is not stored */
  save(key: CacheKey<T>, result: T, createdAt: number): Promise<CacheRecord<T> | undefined>;
  /** Makes `key` another way to what is stored under `known`. */
  alias(key: CacheKey<T>, known: CacheKey<T>): Promise<void>;
  /** Name under which keys of two edges can be compared. */
  identify(key: CacheKey<T>): Promise<string>;
}

/** Newest first, then the local store (map d7). */
export function compareRecords<T>(a: CacheRecord<T>, b: CacheRecord<T>): number {
  return b.createdAt - a.createdAt || b.priority - a.priority || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
