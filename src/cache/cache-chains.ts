import type { Digest } from "../core/values/digest.ts";
import type { LayerBlob } from "../core/values/task.ts";
import type { CacheConfig } from "./cache-config.ts";
import { ChainItem, type ChainResult } from "./chain-item.ts";
import { layoutCache } from "./layout-cache.ts";

export interface ChainLink {
  readonly record: ChainItem;
  readonly selector: string;
}

/**
 * Collects what a cache export walk finds into one graph in which equal keys are one record (BuildKit
 * cache/remotecache/v1/chains.go). Records never lead to themselves: a link that would close a circle is left out.
 */
export class CacheChains {
  readonly #items = new Set<ChainItem>();
  readonly #roots = new Map<Digest, ChainItem>();

  /** @param inputs alternatives by input, none empty; the records are this object's own */
  add(
    digest: Digest,
    inputs: readonly (readonly ChainLink[])[],
    results: readonly ChainResult[],
  ): ChainItem | undefined {
    if (digest.startsWith("random:")) return undefined;
    if (inputs.length === 0) {
      let root = this.#roots.get(digest);
      if (root === undefined) {
        root = new ChainItem(digest, 0);
        this.#roots.set(digest, root);
        this.#items.add(root);
      }
      root.addResults(results);
      return root;
    }
    const [known, ...equal] = matching(digest, inputs);
    const item = known ?? new ChainItem(digest, inputs.length);
    this.#items.add(item);
    for (const other of equal) this.#merge(other, item);
    item.addResults(results);
    link(item, inputs);
    return item;
  }

  /** Config and layers in an order that depends on nothing but their content. */
  layout(): { readonly config: CacheConfig; readonly layers: readonly LayerBlob[] } {
    return layoutCache(this.#items);
  }

  /** What leads to and from `other` leads to and from `item` from now on. */
  #merge(other: ChainItem, item: ChainItem): void {
    const inputs = other.parents.map((parents) =>
      [...parents].flatMap(([record, selectors]) => Array.from(selectors, (selector) => ({ record, selector }))),
    );
    for (const [input, links] of inputs.entries()) {
      for (const { record, selector } of links)
        record.children.get(linkKey(input, selector, other.digest))?.delete(other);
    }
    for (const child of new Set([...other.children.values()].flatMap((children) => [...children]))) {
      for (const [input, parents] of child.parents.entries()) {
        const selectors = parents.get(other);
        if (selectors === undefined) continue;
        parents.delete(other);
        link(child, [
          ...Array<ChainLink[]>(input).fill([]),
          Array.from(selectors, (selector) => ({ record: item, selector })),
        ]);
      }
    }
    this.#items.delete(other);
    item.addResults(other.results);
    link(item, inputs);
  }
}

/** Records with the digest to which every input leads. */
function matching(digest: Digest, inputs: readonly (readonly ChainLink[])[]): ChainItem[] {
  let found: Set<ChainItem> | undefined;
  for (const [input, links] of inputs.entries()) {
    const here = new Set<ChainItem>();
    for (const { record, selector } of links) {
      for (const child of record.children.get(linkKey(input, selector, digest)) ?? []) {
        if (found === undefined || found.has(child)) here.add(child);
      }
    }
    found = here;
    if (found.size === 0) break;
  }
  return [...(found ?? [])];
}

function link(item: ChainItem, inputs: readonly (readonly ChainLink[])[]): void {
  let below: ReadonlySet<ChainItem> | undefined;
  for (const [input, links] of inputs.entries()) {
    for (const { record, selector } of links) {
      const selectors = item.parents[input]?.get(record);
      if (selectors?.has(selector)) continue;
      below ??= descendants(item);
      if (below.has(record)) continue;
      if (selectors === undefined) item.parents[input]?.set(record, new Set([selector]));
      else selectors.add(selector);
      const key = linkKey(input, selector, item.digest);
      const children = record.children.get(key);
      if (children === undefined) record.children.set(key, new Set([item]));
      else children.add(item);
    }
  }
}

/** The item itself and all that follows from it. */
function descendants(item: ChainItem): ReadonlySet<ChainItem> {
  const seen = new Set([item]);
  for (const next of seen) for (const children of next.children.values()) for (const child of children) seen.add(child);
  return seen;
}

function linkKey(input: number, selector: string, digest: Digest): string {
  return `${input} ${selector} ${digest}`;
}
