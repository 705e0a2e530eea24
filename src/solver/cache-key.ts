import { type Digest, sha256 } from "../core/values/digest.ts";
import type { CacheRecord } from "./cache.ts";
import type { CacheManager } from "./cache-manager.ts";

/** Output index of content keys, which belong to no op (BuildKit solver/edge.go, slow cache keys). */
export const contentOutput = -1;

/** A key of an input as one op sees it: the selector says which part of the input counts. */
export interface CacheKeyWithSelector<T> {
  readonly key: CacheKey<T>;
  /** Selector digest or empty. Content keys have none. */
  readonly selector: string;
}

export interface CacheKeyOptions<T> {
  /** Alternatives by input index. */
  readonly deps?: readonly (readonly CacheKeyWithSelector<T>[])[];
  /** Vertex that the key was computed for. */
  readonly vertex?: Digest;
  readonly ephemeral?: boolean;
  /** export_cache override of the vertex. */
  readonly exportCache?: boolean;
}

/**
 * Identity of one output of one op over inputs that are themselves given by keys. An input may have several equivalent keys:
 * definition keys (an image by manifest and by config) and a content key. What a key is *called* differs between stores;
 * `rootKey` is the name everybody agrees on, without inputs (map d12).
 *
 * A cache exporter walks `deps`, `secondary`, `records` and `fresh` (export-walk.ts).
 */
export class CacheKey<T> {
  /** The op's cache map digest, or a content digest. */
  readonly digest: Digest;
  readonly output: number;
  readonly vertex: Digest | undefined;
  /** Alternatives by input. Keys only refer to keys that were made before them. */
  readonly deps: readonly (readonly CacheKeyWithSelector<T>[])[];
  /** More alternatives by input, from edges with an equal key (map d8). For export only: through them keys may go in circles. */
  readonly secondary: CacheKeyWithSelector<T>[][];
  /** True when the key means nothing beyond this session, so no store may learn it. */
  readonly ephemeral: boolean;
  readonly exportCache: boolean | undefined;
  /** Keys of the graphs that the op built on its way to the result. For export only. */
  nested: readonly CacheKey<T>[] = [];
  /** Stored results known for this key. */
  records: readonly CacheRecord<T>[] = [];
  /** The result that this build made or loaded under the key. Owned by the build. */
  fresh: { readonly result: T; readonly createdAt: number } | undefined;
  readonly #ids = new Map<CacheManager<T>, string>();

  constructor(digest: Digest, output: number, options: CacheKeyOptions<T> = {}) {
    this.digest = digest;
    this.output = output;
    this.vertex = options.vertex;
    this.deps = options.deps ?? [];
    this.secondary = this.deps.map(() => []);
    this.exportCache = options.exportCache;
    this.ephemeral =
      options.ephemeral === true ||
      isRandom(digest) ||
      this.deps.some((alternatives) => alternatives.every(({ key }) => key.ephemeral));
  }

  get isContent(): boolean {
    return this.output === contentOutput;
  }

  get rootKey(): Digest {
    return rootKey(this.digest, this.output);
  }

  idIn(manager: CacheManager<T>): string | undefined {
    return this.#ids.get(manager);
  }

  setIdIn(manager: CacheManager<T>, id: string): void {
    this.#ids.set(manager, id);
  }

  /** What each store calls the key, for an exporter that follows backlinks. */
  get ids(): ReadonlyMap<CacheManager<T>, string> {
    return this.#ids;
  }

  /** True for a key of the same edge over inputs of the same content. */
  equals(other: CacheKey<T>): boolean {
    const contents = ({ deps }: CacheKey<T>) =>
      deps.map((alternatives) => alternatives.find(({ key }) => key.isContent)?.key.digest).join();
    return this.rootKey === other.rootKey && contents(this) === contents(other);
  }

  /** Notes the inputs of an equal key as further ways to this one. */
  addSecondary(other: CacheKey<T>): void {
    if (other === this) return;
    for (const [input, alternatives] of other.deps.entries()) this.secondary[input]?.push(...alternatives);
  }
}

/** Digest of a file tree, as a key that leads to ops which look at nothing else of their input. */
export function contentKey<T>(digest: Digest): CacheKey<T> {
  return new CacheKey<T>(digest, contentOutput);
}

/** Name of a key without inputs: `sha256("<digest>@<output>")`; random digests keep their name (BuildKit solver/cachemanager.go rootKey). */
export function rootKey(digest: Digest, output: number): Digest {
  return isRandom(digest) ? digest : sha256(`${digest}@${output}`);
}

/** `random:` digests stand for what cannot be known twice, e.g. a local directory before it is read. */
export function isRandom(digest: string): boolean {
  return digest.startsWith("random:");
}
