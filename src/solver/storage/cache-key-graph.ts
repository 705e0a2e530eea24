import { setImmediate as nextTurn } from "node:timers/promises";
import type { CacheBacklink, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";
import { rootKey } from "../cache-key.ts";

export interface StoredLink {
  readonly key: string;
  readonly link: CacheLink;
  readonly target: string;
}

export interface StoredResult {
  readonly key: string;
  readonly record: CacheResultRecord;
}

/** What went away with a released result. */
export interface Removal {
  readonly results: readonly StoredResult[];
  readonly links: readonly StoredLink[];
}

interface Node {
  readonly results: Map<string, CacheResultRecord>;
  /** Link text → the link, and the keys it leads to. */
  readonly links: Map<string, { readonly link: CacheLink; readonly targets: Set<string> }>;
  /** Keys with a link to this one. */
  readonly sources: Set<string>;
}

/** The keys from which a result is known to be reachable, while a search for the others goes on. */
interface Search {
  readonly alive: Set<string>;
  /** Found alive, sources not looked at yet. */
  readonly open: string[];
}

/** Keys looked at before others get their turn. */
const searchStep = 1000;

/** The key graph as maps. Synchronous; a key is there while it has a result or a link to one (BuildKit solver/memorycachestorage.go). */
export class CacheKeyGraph {
  readonly #nodes = new Map<string, Node>();
  readonly #keysOfResult = new Map<string, Set<string>>();
  readonly #searches = new Set<Search>();

  /** True for a key with a result or an outgoing link. */
  has(key: string): boolean {
    const node = this.#nodes.get(key);
    return node !== undefined && (node.results.size > 0 || node.links.size > 0);
  }

  targets(key: string, link: CacheLink): string[] {
    return [...(this.#nodes.get(key)?.links.get(linkText(link))?.targets ?? [])];
  }

  addLink(key: string, link: CacheLink, target: string): void {
    const { links } = this.#node(key);
    const text = linkText(link);
    let entry = links.get(text);
    if (entry === undefined) {
      entry = { link, targets: new Set() };
      links.set(text, entry);
    }
    entry.targets.add(target);
    this.#node(target).sources.add(key);
    for (const { alive, open } of this.#searches) if (alive.has(target)) open.push(key);
  }

  results(key: string): CacheResultRecord[] {
    return [...(this.#nodes.get(key)?.results.values() ?? [])];
  }

  addResult(key: string, record: CacheResultRecord): void {
    this.#node(key).results.set(record.id, record);
    const keys = this.#keysOfResult.get(record.id) ?? new Set();
    this.#keysOfResult.set(record.id, keys.add(key));
    for (const { open } of this.#searches) open.push(key);
  }

  /** Drops a result from all its keys, and keys that then lead nowhere, back to the roots. */
  release(resultId: string): Removal {
    const results: StoredResult[] = [];
    const links: StoredLink[] = [];
    const keys = this.#keysOfResult.get(resultId) ?? new Set();
    this.#keysOfResult.delete(resultId);
    for (const key of keys) {
      const node = this.#nodes.get(key);
      const record = node?.results.get(resultId);
      if (node === undefined || record === undefined) continue;
      node.results.delete(resultId);
      results.push({ key, record });
    }
    const open = [...keys];
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      const node = this.#nodes.get(key);
      if (node === undefined || node.results.size > 0 || node.links.size > 0) continue;
      this.#nodes.delete(key);
      for (const source of node.sources) {
        links.push(...this.#unlink(source, key));
        open.push(source);
      }
    }
    return { results, links };
  }

  /** Removes keys from which no result can be reached, in portions. What is added meanwhile stays, with what leads to it. */
  async *removeUnreferenced(): AsyncGenerator<Removal> {
    const search: Search = { alive: new Set(), open: [...this.#keysOfResult.values()].flatMap((keys) => [...keys]) };
    this.#searches.add(search);
    try {
      await this.#follow(search);
      const dead = this.keys().filter((key) => !search.alive.has(key));
      for (let start = 0; start < dead.length; start += searchStep) {
        await nextTurn();
        while (search.open.length > 0) await this.#follow(search);
        const portion = dead.slice(start, start + searchStep).filter((key) => !search.alive.has(key));
        yield { results: [], links: portion.flatMap((key) => this.#remove(key)) };
      }
    } finally {
      this.#searches.delete(search);
    }
  }

  removeLink({ key, link, target }: StoredLink): void {
    const links = this.#nodes.get(key)?.links;
    const entry = links?.get(linkText(link));
    entry?.targets.delete(target);
    if (entry?.targets.size === 0) links?.delete(linkText(link));
    const stillLinked = [...(links?.values() ?? [])].some(({ targets }) => targets.has(target));
    if (!stillLinked) this.#nodes.get(target)?.sources.delete(key);
    this.#forgetEmpty(key);
    this.#forgetEmpty(target);
  }

  removeResult(key: string, resultId: string): void {
    this.#nodes.get(key)?.results.delete(resultId);
    const keys = this.#keysOfResult.get(resultId);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOfResult.delete(resultId);
    this.#forgetEmpty(key);
  }

  backlinks(key: string): CacheBacklink[] {
    return [...(this.#nodes.get(key)?.sources ?? [])].flatMap((source) =>
      [...(this.#nodes.get(source)?.links.values() ?? [])]
        .filter(({ targets }) => targets.has(key))
        .map(({ link: { input, output, digest, selector } }) => ({
          key: source,
          input,
          selector,
          rootKey: rootKey(digest, output),
        })),
    );
  }

  keys(): string[] {
    return [...this.#nodes.keys()];
  }

  #node(key: string): Node {
    let node = this.#nodes.get(key);
    if (node === undefined) {
      node = { results: new Map(), links: new Map(), sources: new Set() };
      this.#nodes.set(key, node);
    }
    return node;
  }

  #unlink(source: string, target: string): StoredLink[] {
    const removed: StoredLink[] = [];
    const links = this.#nodes.get(source)?.links;
    for (const [text, { link, targets }] of links ?? []) {
      if (!targets.delete(target)) continue;
      removed.push({ key: source, link, target });
      if (targets.size === 0) links?.delete(text);
    }
    return removed;
  }

  /** @returns the links from and to the key */
  #remove(key: string): StoredLink[] {
    const node = this.#nodes.get(key);
    if (node === undefined) return [];
    this.#nodes.delete(key);
    const removed = [...node.sources].flatMap((source) => this.#unlink(source, key));
    for (const { link, targets } of node.links.values()) {
      for (const target of targets) {
        this.#nodes.get(target)?.sources.delete(key);
        removed.push({ key, link, target });
      }
    }
    return removed;
  }

  /** Finds all that leads to what is alive. */
  async #follow({ alive, open }: Search): Promise<void> {
    for (let key = open.pop(), steps = 1; key !== undefined; key = open.pop(), steps++) {
      if (!alive.has(key)) {
        alive.add(key);
        open.push(...(this.#nodes.get(key)?.sources ?? []));
      }
      if (steps % searchStep === 0) await nextTurn();
    }
  }

  #forgetEmpty(key: string): void {
    const node = this.#nodes.get(key);
    if (node !== undefined && node.results.size + node.links.size + node.sources.size === 0) this.#nodes.delete(key);
  }
}

/** A link as one string: `input,output,digest,selector`. */
export function linkText(link: CacheLink): string {
  return `${link.input},${link.output},${link.digest},${link.selector}`;
}
