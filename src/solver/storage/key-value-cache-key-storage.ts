import type { CacheBacklink, CacheKeyStorage, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";
import type { KeyValue, KeyValueChange, KeyValueWatch } from "../../core/seams/key-value.ts";
import { sha256 } from "../../core/values/digest.ts";
import { CacheKeyGraph, linkText, type Removal, type StoredLink, type StoredResult } from "./cache-key-graph.ts";

/**
 * Key graph in a shared bucket, for coordinators on one bus. Look-ups read a mirror in this process, which a watch keeps up to
 * date; writes go to the bucket before they resolve, so that what one coordinator has reported every other one finds.
 *
 * Entries: `link/<hash>` and `result/<hash>`, the hash over what identifies the entry, the value its JSON. They are only ever
 * added and deleted, never changed but for the time of a result, so writers cannot get in each other's way.
 */
export class KeyValueCacheKeyStorage implements CacheKeyStorage, Disposable {
  readonly #bucket: KeyValue;
  readonly #graph = new CacheKeyGraph();
  /** What each entry of the bucket says, to know what a deletion takes away. */
  readonly #entries = new Map<string, Entry>();
  #watch: KeyValueWatch | undefined;

  private constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  /** Resolves when the mirror holds what the bucket holds. */
  static async open(bucket: KeyValue): Promise<KeyValueCacheKeyStorage> {
    const storage = new KeyValueCacheKeyStorage(bucket);
    const watch = bucket.watch("", (change) => storage.#apply(change));
    storage.#watch = watch;
    try {
      await watch.ready;
      return storage;
    } catch (error) {
      watch[Symbol.dispose]();
      throw error;
    }
  }

  /** Resolves when all is here that any coordinator had written before the call. */
  async caughtUp(): Promise<void> {
    await this.#watch?.caughtUp();
  }

  async exists(key: string): Promise<boolean> {
    return this.#graph.has(key);
  }

  async links(key: string, link: CacheLink): Promise<readonly string[]> {
    return this.#graph.targets(key, link);
  }

  async addLink(key: string, link: CacheLink, target: string): Promise<void> {
    await this.#write({ kind: "link", key, link, target });
  }

  async results(key: string): Promise<readonly CacheResultRecord[]> {
    return this.#graph.results(key);
  }

  async addResult(key: string, record: CacheResultRecord): Promise<void> {
    await this.#write({ kind: "result", key, record });
  }

  async release(resultId: string): Promise<void> {
    await this.#delete(this.#graph.release(resultId));
  }

  async releaseUnreferenced(): Promise<void> {
    for await (const removal of this.#graph.removeUnreferenced()) await this.#delete(removal);
  }

  async backlinks(key: string): Promise<readonly CacheBacklink[]> {
    return this.#graph.backlinks(key);
  }

  async *keys(): AsyncIterable<string> {
    yield* this.#graph.keys();
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }

  async #write(entry: Entry): Promise<void> {
    const name = entryName(entry);
    if (entry.kind === "link" && this.#entries.has(name)) return;
    await this.#bucket.put(name, new TextEncoder().encode(JSON.stringify(entry)));
    // Our own next look-up must not wait for the watch.
    this.#add(name, entry);
  }

  async #delete({ results, links }: Removal): Promise<void> {
    const names = [
      ...results.map((result) => entryName({ kind: "result", ...result })),
      ...links.map((link) => entryName({ kind: "link", ...link })),
    ];
    for (const name of names) this.#entries.delete(name);
    await Promise.all(names.map((name) => this.#bucket.delete(name)));
  }

  #apply({ key: name, value }: KeyValueChange): void {
    if (value !== undefined) {
      this.#add(name, parseEntry(value));
      return;
    }
    const entry = this.#entries.get(name);
    this.#entries.delete(name);
    if (entry?.kind === "link") this.#graph.removeLink(entry);
    if (entry?.kind === "result") this.#graph.removeResult(entry.key, entry.record.id);
  }

  #add(name: string, entry: Entry): void {
    this.#entries.set(name, entry);
    if (entry.kind === "link") this.#graph.addLink(entry.key, entry.link, entry.target);
    else this.#graph.addResult(entry.key, entry.record);
  }
}

type Entry = ({ readonly kind: "link" } & StoredLink) | ({ readonly kind: "result" } & StoredResult);

function entryName(entry: Entry): string {
  const identity =
    entry.kind === "link" ? [entry.key, linkText(entry.link), entry.target] : [entry.key, entry.record.id];
  return `${entry.kind}/${sha256(JSON.stringify(identity)).slice("sha256:".length)}`;
}

/** True for an entry that `KeyValueCacheKeyStorage` has written. @throws SyntaxError */
export function isCacheKeyEntry(value: Uint8Array): boolean {
  const entry: Partial<StoredLink & StoredResult> & { readonly kind?: string } = parseEntry(value);
  if (typeof entry.key !== "string") return false;
  if (entry.kind === "result")
    return typeof entry.record?.id === "string" && typeof entry.record.createdAt === "number";
  return entry.kind === "link" && typeof entry.target === "string" && typeof entry.link?.digest === "string";
}

function parseEntry(value: Uint8Array): Entry {
  return JSON.parse(new TextDecoder().decode(value));
}
