import type { CacheBacklink, CacheKeyStorage, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";
import type { Digest } from "../../core/values/digest.ts";
import { rootKey } from "../cache-key.ts";

/** A record of an exported cache: what CacheExportTarget.add was given. */
export interface ImportedRecord {
  /** Root key of the op output. */
  readonly digest: Digest;
  /** Alternatives by input; `link` is the place of the input's record in the list. */
  readonly inputs: readonly (readonly { readonly link: number; readonly selector: string }[])[];
  readonly results: readonly CacheResultRecord[];
}

/**
 * Keys of an imported cache (BuildKit cache/remotecache/v1/cachestorage.go). Such a cache names op outputs by root key only, so
 * links are found by that. It does not learn: what is added is dropped, and goes into the local store anyway.
 */
export class ImportedCacheKeyStorage implements CacheKeyStorage {
  readonly #ids: readonly string[];
  readonly #results = new Map<string, readonly CacheResultRecord[]>();
  /** Key id → `input,rootKey,selector` → ids. */
  readonly #links = new Map<string, Map<string, string[]>>();
  readonly #backlinks = new Map<string, CacheBacklink[]>();
  readonly #released = new Set<string>();

  /** @throws RangeError when a link points beyond the list */
  constructor(records: readonly ImportedRecord[]) {
    // Records with inputs may share a digest and differ in what leads to them.
    this.#ids = records.map(({ digest, inputs }, i) => (inputs.length === 0 ? digest : `${digest}#${i}`));
    for (const [i, { digest, inputs, results }] of records.entries()) {
      const id = this.#idAt(i);
      this.#results.set(id, results);
      for (const [input, alternatives] of inputs.entries()) {
        for (const { link, selector } of alternatives) {
          this.#link({ key: this.#idAt(link), input, selector, rootKey: digest }, id);
        }
      }
    }
  }

  async exists(key: string): Promise<boolean> {
    return this.#results.has(key);
  }

  async links(key: string, link: CacheLink): Promise<readonly string[]> {
    const name = linkName(link.input, rootKey(link.digest, link.output), link.selector);
    return this.#links.get(key)?.get(name) ?? [];
  }

  async results(key: string): Promise<readonly CacheResultRecord[]> {
    return (this.#results.get(key) ?? []).filter(({ id }) => !this.#released.has(id));
  }

  async release(resultId: string): Promise<void> {
    this.#released.add(resultId);
  }

  async releaseUnreferenced(): Promise<void> {}

  async addLink(): Promise<void> {}

  async addResult(): Promise<void> {}

  async backlinks(key: string): Promise<readonly CacheBacklink[]> {
    return this.#backlinks.get(key) ?? [];
  }

  async *keys(): AsyncIterable<string> {
    yield* new Set(this.#ids);
  }

  #idAt(place: number): string {
    const id = this.#ids[place];
    if (id === undefined) throw new RangeError(`cache record ${place} is not in the list`);
    return id;
  }

  #link(link: CacheBacklink, to: string): void {
    const links = this.#links.get(link.key) ?? new Map<string, string[]>();
    this.#links.set(link.key, links);
    const name = linkName(link.input, link.rootKey, link.selector);
    const targets = links.get(name);
    if (targets === undefined) links.set(name, [to]);
    else targets.push(to);
    const backlinks = this.#backlinks.get(to);
    if (backlinks === undefined) this.#backlinks.set(to, [link]);
    else backlinks.push(link);
  }
}

function linkName(input: number, digest: Digest, selector: string): string {
  return `${input},${digest},${selector}`;
}
