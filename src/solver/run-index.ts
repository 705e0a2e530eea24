import type { SolverCache } from "./cache.ts";
import type { CacheKey } from "./cache-key.ts";
import type { SolverEdge } from "./solver-edge.ts";

/** A cache key in comparable form: names of the equivalent keys of each input. */
export interface ComparableKey {
  readonly rootKey: string;
  readonly inputs: readonly ReadonlySet<string>[];
}

export async function comparableKey<T>(key: CacheKey<T>, cache: SolverCache<T>): Promise<ComparableKey> {
  const inputs = await Promise.all(
    key.deps.map(async (alternatives) => {
      const names = alternatives.map(
        async (alternative) => `${await cache.identify(alternative.key)} ${alternative.selector}`,
      );
      return new Set(await Promise.all(names));
    }),
  );
  return { rootKey: key.rootKey, inputs };
}

/**
 * Edges that run or have run, by cache key: of edges with an equal key one runs and the others take its result (map d8).
 * Keys are equal when op and output are and every input has a key in common.
 */
export class RunIndex<T> {
  readonly #buckets = new Map<string, { readonly key: ComparableKey; readonly edge: SolverEdge<T> }[]>();
  readonly #rootKeys = new Map<SolverEdge<T>, readonly string[]>();

  /** @returns the edge to take the result from; otherwise `edge` is the one that runs from now on */
  claim(edge: SolverEdge<T>, keys: readonly ComparableKey[]): SolverEdge<T> | undefined {
    if (this.#rootKeys.has(edge)) return undefined;
    for (const key of keys) {
      const other = this.#buckets.get(key.rootKey)?.find((entry) => mayJoin(edge, entry.edge, key, entry.key));
      if (other !== undefined) return other.edge;
    }
    this.#rootKeys.set(
      edge,
      keys.map(({ rootKey }) => rootKey),
    );
    for (const key of keys) {
      const bucket = this.#buckets.get(key.rootKey);
      if (bucket === undefined) this.#buckets.set(key.rootKey, [{ key, edge }]);
      else bucket.push({ key, edge });
    }
    return undefined;
  }

  remove(edge: SolverEdge<T>): void {
    for (const rootKey of this.#rootKeys.get(edge) ?? []) {
      const rest = (this.#buckets.get(rootKey) ?? []).filter((entry) => entry.edge !== edge);
      if (rest.length === 0) this.#buckets.delete(rootKey);
      else this.#buckets.set(rootKey, rest);
    }
    this.#rootKeys.delete(edge);
  }

  get size(): number {
    return this.#rootKeys.size;
  }
}

/** A vertex that must not use cache only joins its like; nobody joins what he is made from, or a run that waits for him. */
function mayJoin<T>(edge: SolverEdge<T>, other: SolverEdge<T>, key: ComparableKey, otherKey: ComparableKey): boolean {
  if (edge.vertex.ignoreCache && !other.vertex.ignoreCache) return false;
  if (edge.vertex.isInside(other.vertex)) return false;
  const equal =
    key.inputs.length === otherKey.inputs.length &&
    key.inputs.every((names, input) => [...names].some((name) => otherKey.inputs[input]?.has(name)));
  return equal && !edge.vertex.dependsOn(other.vertex) && !other.vertex.dependsOn(edge.vertex);
}
