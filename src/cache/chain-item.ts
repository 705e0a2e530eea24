import { type Digest, sha256 } from "../core/values/digest.ts";
import type { LayerBlob } from "../core/values/task.ts";

/** Layers of a result, bottom first, each with a blob that others can fetch. */
export type BlobChain = readonly LayerBlob[];

export interface ChainResult {
  readonly content: BlobChain;
  /** Unix milliseconds. */
  readonly createdAt: number;
}

/** A record: an op output as it follows from the records it is linked to. */
export class ChainItem {
  readonly digest: Digest;
  /** By input: the records that lead here, and by which selectors. */
  readonly parents: Map<ChainItem, Set<string>>[];
  /** By input, selector and digest. */
  readonly children = new Map<string, Set<ChainItem>>();
  readonly results: ChainResult[] = [];

  constructor(digest: Digest, inputs: number) {
    this.digest = digest;
    this.parents = Array.from({ length: inputs }, () => new Map());
  }

  addResults(results: readonly ChainResult[]): void {
    for (const result of results) {
      if (!this.results.some((known) => sameResult(known, result))) this.results.push(result);
    }
  }
}

/** Name of an item that says everything about where it comes from. */
export function chainItemId(item: ChainItem, idOfParent: (parent: ChainItem) => string): string {
  const inputs = item.parents.map((parents) =>
    [...parents]
      .flatMap(([parent, selectors]) => Array.from(selectors, (selector) => `${idOfParent(parent)} ${selector}`))
      .sort(),
  );
  return sha256(JSON.stringify([item.digest, inputs]));
}

function sameResult(a: ChainResult, b: ChainResult): boolean {
  return (
    a.createdAt === b.createdAt &&
    a.content.length === b.content.length &&
    a.content.every(({ descriptor }, i) => descriptor.digest === b.content[i]?.descriptor.digest)
  );
}
