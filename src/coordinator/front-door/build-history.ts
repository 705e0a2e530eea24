import type { BuildHistoryEvent } from "../../api/gen/control.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";

/** Records of past and running builds, as the Control service serves them (map a9, a10). */
export interface BuildHistory {
  /** Ends by itself with `earlyExit`, else when the signal aborts. An unknown ref is an empty list, not an error. */
  listen(query: HistoryQuery, signal: AbortSignal): AsyncIterable<BuildHistoryEvent>;
  /** @throws BuildError NotFound */
  update(ref: string, change: HistoryChange, signal: AbortSignal): Promise<void>;
  /** @returns undefined when no finished build has that ref, and none that runs at another coordinator */
  progress(ref: string, signal: AbortSignal): Promise<AsyncIterable<SolveProgress> | undefined>;
}

export interface HistoryQuery {
  readonly activeOnly: boolean;
  /** Empty = all. */
  readonly ref: string;
  readonly earlyExit: boolean;
  readonly filters: readonly string[];
  /** 0 = no limit. */
  readonly limit: number;
}

/** `finalize` stores the trace now instead of a few seconds after the end. */
export type HistoryChange = "pin" | "unpin" | "delete" | "finalize";
