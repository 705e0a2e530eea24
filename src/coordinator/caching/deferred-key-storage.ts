import type { CacheBacklink, CacheKeyStorage, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";

/** Keys that are still on their way. Each question waits until they are there; an import that failed has none. */
export class DeferredKeyStorage implements CacheKeyStorage {
  readonly #storage: Promise<CacheKeyStorage>;

  /** @param storage never rejects */
  constructor(storage: Promise<CacheKeyStorage>) {
    this.#storage = storage;
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#storage).exists(key);
  }

  async links(key: string, link: CacheLink): Promise<readonly string[]> {
    return (await this.#storage).links(key, link);
  }

  async addLink(key: string, link: CacheLink, target: string): Promise<void> {
    return (await this.#storage).addLink(key, link, target);
  }

  async results(key: string): Promise<readonly CacheResultRecord[]> {
    return (await this.#storage).results(key);
  }

  async addResult(key: string, record: CacheResultRecord): Promise<void> {
    return (await this.#storage).addResult(key, record);
  }

  async release(resultId: string): Promise<void> {
    return (await this.#storage).release(resultId);
  }

  async releaseUnreferenced(): Promise<void> {
    return (await this.#storage).releaseUnreferenced();
  }

  async backlinks(key: string): Promise<readonly CacheBacklink[]> {
    return (await this.#storage).backlinks(key);
  }

  async *keys(): AsyncIterable<string> {
    yield* (await this.#storage).keys();
  }
}
