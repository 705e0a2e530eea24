import type { Digest } from "../../core/values/digest.ts";

/**
 * Indexes, manifests and configs by digest, in memory, least recently used out first. Also remembers which repositories a
 * root came from: only those may be answered without asking again who is allowed to see it.
 */
export class ManifestCache {
  readonly #maxBytes: number;
  readonly #documents = new Map<Digest, { readonly bytes: Uint8Array; readonly repositories: Set<string> }>();
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(digest: Digest): Uint8Array | undefined {
    const found = this.#documents.get(digest);
    if (found === undefined) return undefined;
    this.#documents.delete(digest);
    this.#documents.set(digest, found);
    return found.bytes;
  }

  /** As `get`, for a document that was read from this very repository. */
  from(repository: string, digest: Digest): Uint8Array | undefined {
    return this.#documents.get(digest)?.repositories.has(repository) === true ? this.get(digest) : undefined;
  }

  add(repository: string, digest: Digest, bytes: Uint8Array): void {
    const known = this.#documents.get(digest);
    if (known !== undefined) {
      known.repositories.add(repository);
      return;
    }
    this.#documents.set(digest, { bytes, repositories: new Set([repository]) });
    this.#size += bytes.length;
    for (const [oldest, document] of this.#documents) {
      if (this.#size <= this.#maxBytes || this.#documents.size === 1) break;
      this.#documents.delete(oldest);
      this.#size -= document.bytes.length;
    }
  }

  clear(): void {
    this.#documents.clear();
    this.#size = 0;
  }
}
