export type { CacheCandidate, CacheRecord, LinkSite, SolverCache } from "./cache.ts";
export { CacheKey, type CacheKeyWithSelector, contentKey, rootKey } from "./cache-key.ts";
export { CacheManager, type CacheManagerOptions } from "./cache-manager.ts";
export type { CachedResult } from "./cached-result.ts";
export { CombinedCacheManager, type CombinedCacheManagerOptions } from "./combined-cache-manager.ts";
export {
  type CacheExportLink,
  type CacheExportMode,
  type CacheExportOptions,
  type CacheExportResult,
  type CacheExportTarget,
  exportCacheKeys,
} from "./export-walk.ts";
export type { BuildOptions, Job } from "./job.ts";
export type {
  LogProgress,
  ProgressEvent,
  StatusProgress,
  VertexProgress,
  WarningProgress,
} from "./progress-event.ts";
export { madeAnew } from "./read-inputs.ts";
export { type JobOptions, Solver, type SolverOptions } from "./solver.ts";
export { ImportedCacheKeyStorage, type ImportedRecord } from "./storage/imported-cache-key-storage.ts";
export { isCacheKeyEntry, KeyValueCacheKeyStorage } from "./storage/key-value-cache-key-storage.ts";
export { MemoryCacheKeyStorage } from "./storage/memory-cache-key-storage.ts";
export type { InputOutcome, JobVertexOutcome, VertexOutcome } from "./vertex-outcome.ts";
