import type { CacheMountHolder, CacheSharing, PublishedCacheMount } from "../../../core/values/cache-mount.ts";

/** What `du` and prune see of a cache mount (record type `exec.cachemount`). */
export interface CacheMountRecord {
  readonly id: string;
  /** `id`, or `id:<input>` for one that started from an input. */
  readonly key: string;
  readonly description: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly usageCount: number;
  readonly sizeBytes: number;
  readonly inUse: boolean;
}

export interface CacheMountRequest {
  readonly key: string;
  readonly sharing: CacheSharing;
  readonly description: string;
  /** Fills a new mount; makes `path` as file or directory. Absent: an empty directory. */
  readonly seed?: (path: string) => Promise<void>;
  /** Sessions the step runs for; see `prune`. */
  readonly sessionIds: readonly string[];
  /** Of the mount in the fleet; entries of another one are dropped. */
  readonly epoch: string;
  /** Who has it in the fleet, newest version first. */
  readonly holders: readonly CacheMountHolder[];
  /** Copies the first that can be had to `<directory>/data`. @returns undefined when none can */
  readonly copy: (holders: readonly CacheMountHolder[], directory: string) => Promise<CacheMountCopy | undefined>;
}

export interface CacheMountCopy {
  readonly version: string;
  readonly sizeBytes: number;
}

/** A cache mount in use. Disposing ends it as of a step that failed. */
export interface CacheMountLease extends AsyncDisposable {
  readonly path: string;
  /** Ends it as of a step that succeeded. @returns undefined when others use the directory still, or it was pruned */
  publish(): Promise<PublishedCacheMount | undefined>;
}

/** A directory that no step uses until it is disposed, or `signal` aborts. */
export interface CacheMountReading extends Disposable {
  /** Has `data` in it. */
  readonly directory: string;
  readonly version: string;
  readonly signal: AbortSignal;
}
