import type { CacheBacklink, CacheKeyStorage, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";
import { CacheKeyGraph } from "./cache-key-graph.ts";

/** Keeps everything in this process; for tests, and for the keys of an imported cache. */
export class MemoryCacheKeyStorage implements CacheKeyStorage {
  readonly #graph = new CacheKeyGraph();

  async exists(key: string): Promise<boolean> {
    return this.#graph.has(key);
  }

  async links(key: string, link: CacheLink): Promise<readonly string[]> {
    return this.#graph.targets(key, link);
  }

  async addLink(key: string, link: CacheLink, target: string): Promise<void> {
    this.#graph.addLink(key, link, target);
  }

  async results(key: string): Promise<readonly CacheResultRecord[]> {
    return this.#graph.results(key);
  }

  async addResult(key: string, record: CacheResultRecord): Promise<void> {
    this.#graph.addResult(key, record);
  }

  async release(resultId: string): Promise<void> {
    this.#graph.release(resultId);
  }

  async releaseUnreferenced(): Promise<void> {
    for await (const _removal of this.#graph.removeUnreferenced()) {
    }
  }

  async backlinks(key: string): Promise<readonly CacheBacklink[]> {
    return this.#graph.backlinks(key);
  }

  async *keys(): AsyncIterable<string> {
    yield* this.#graph.keys();
  }
}
