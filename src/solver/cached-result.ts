import type { CacheRecord } from "./cache.ts";
import type { CacheKey } from "./cache-key.ts";
import type { SharedResult } from "./shared-result.ts";
import type { SolverEdge } from "./solver-edge.ts";

/** A result with the keys it is known by. The result belongs to the job that built it and lives until that is discarded. */
export interface CachedResult<T> {
  readonly result: T;
  /** At least one; the first is enough to export the whole chain. */
  readonly cacheKeys: readonly CacheKey<T>[];
}

/** How edges pass results on: with the holder count. */
export interface HeldResult<T> extends CachedResult<T> {
  readonly shared: SharedResult<T>;
  /** Where it was loaded from; absent for a result that was made. */
  readonly record?: CacheRecord<T>;
  /** The edge whose run made it; absent for a result that was loaded. */
  readonly maker?: SolverEdge<T>;
}
