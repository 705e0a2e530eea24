import type { Logger } from "../core/seams/logger.ts";
import { type Digest, sha256 } from "../core/values/digest.ts";
import type { CacheCandidate, CacheRecord, LinkSite, SolverCache } from "./cache.ts";
import type { CacheKey, CacheKeyWithSelector } from "./cache-key.ts";
import type { CacheManager } from "./cache-manager.ts";

export interface CombinedCacheManagerOptions<T> {
  /** The local store: everything new goes there, and what is found elsewhere is copied into it. */
  readonly main: CacheManager<T>;
  /** Imported caches. One that fails is skipped with a warning (map d11). */
  readonly imported: readonly CacheManager<T>[];
  readonly logger: Logger;
}

/** Several stores asked at once (BuildKit solver/combinedcache.go). A match never mixes keys of two stores. */
export class CombinedCacheManager<T> implements SolverCache<T> {
  readonly id: string;
  readonly #main: CacheManager<T>;
  readonly #all: readonly CacheManager<T>[];
  readonly #logger: Logger;
  /** What imported records have become in the local store. */
  readonly #copies = new Map<CacheRecord<T>, CacheRecord<T>>();

  constructor(options: CombinedCacheManagerOptions<T>) {
    this.#main = options.main;
    this.#all = [options.main, ...options.imported];
    this.#logger = options.logger;
    this.id = sha256(this.#all.map(({ id }) => id).join(","));
  }

  root(digest: Digest, output: number): Promise<readonly CacheCandidate<T>[]> {
    return this.#ask((manager) => manager.root(digest, output));
  }

  query(inputs: readonly CacheKeyWithSelector<T>[], site: LinkSite): Promise<readonly CacheCandidate<T>[]> {
    return this.#ask((manager) => manager.query(inputs, site));
  }

  async connect(
    inputs: readonly CacheKeyWithSelector<T>[],
    site: LinkSite,
    candidates: readonly CacheCandidate<T>[],
  ): Promise<void> {
    await this.#ask(async (manager) => {
      await manager.connect(inputs, site, candidates);
      return [];
    });
  }

  async records(candidate: CacheCandidate<T>, key: CacheKey<T>): Promise<readonly CacheRecord<T>[]> {
    const { manager } = candidate;
    const records = await this.#guard(manager, () => manager.records(candidate, key));
    return manager === this.#main ? records.map((record) => ({ ...record, priority: 1 })) : records;
  }

  async load(record: CacheRecord<T>): Promise<T | undefined> {
    const result = await record.manager.load(record);
    if (result !== undefined && record.manager !== this.#main) {
      const copy = await this.#main.save(record.key, result, record.createdAt);
      if (copy !== undefined) this.#copies.set(record, copy);
    }
    return result;
  }

  async release(record: CacheRecord<T>): Promise<void> {
    await record.manager.release(record);
    const copy = this.#copies.get(record);
    if (copy !== undefined) await this.#main.release(copy);
  }

  save(key: CacheKey<T>, result: T, createdAt: number): Promise<CacheRecord<T> | undefined> {
    return this.#main.save(key, result, createdAt);
  }

  alias(key: CacheKey<T>, known: CacheKey<T>): Promise<void> {
    return this.#main.alias(key, known);
  }

  identify(key: CacheKey<T>): Promise<string> {
    return this.#main.identify(key);
  }

  async #ask<R>(question: (manager: CacheManager<T>) => Promise<readonly R[]>): Promise<readonly R[]> {
    const answers = await Promise.all(this.#all.map((manager) => this.#guard(manager, async () => question(manager))));
    return answers.flat();
  }

  async #guard<R>(manager: CacheManager<T>, ask: () => Promise<readonly R[]>): Promise<readonly R[]> {
    try {
      return await ask();
    } catch (error) {
      if (manager === this.#main) throw error;
      this.#logger.warn("Imported cache does not answer", { cache: manager.id, error });
      return [];
    }
  }
}
