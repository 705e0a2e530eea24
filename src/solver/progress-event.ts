import type { VertexOptions } from "../core/seams/op.ts";
import type { ProgressStatus, ProgressWarning } from "../core/seams/progress.ts";
import type { Digest } from "../core/values/digest.ts";

/** What a build reports, in the groups of BuildKit's StatusResponse. Times are Unix milliseconds. */
export interface ProgressEvent {
  readonly vertexes: readonly VertexProgress[];
  readonly statuses: readonly StatusProgress[];
  readonly logs: readonly LogProgress[];
  readonly warnings: readonly WarningProgress[];
}

/** The whole state of a vertex; each event replaces the last. A vertex may start more than once (resolve, then run). */
export interface VertexProgress {
  readonly digest: Digest;
  readonly name: string;
  /** Digests of the input vertices. */
  readonly inputs: readonly Digest[];
  readonly startedAt?: number;
  readonly completedAt?: number;
  readonly cached: boolean;
  /** Message of the failure; `context canceled` when nobody waited any more. */
  readonly error?: string;
  readonly progressGroup?: NonNullable<VertexOptions["progressGroup"]>;
}

/** One progress line under a vertex; `id` names the line. */
export interface StatusProgress extends ProgressStatus {
  readonly vertex: Digest;
  readonly timestamp: number;
}

export interface LogProgress {
  readonly vertex: Digest;
  /** 1 stdout, 2 stderr. */
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: number;
}

export interface WarningProgress extends ProgressWarning {
  readonly vertex: Digest;
}

/** Receives what vertices report. */
export interface ProgressSink {
  vertex(vertex: VertexProgress): void;
  status(status: StatusProgress): void;
  log(log: LogProgress): void;
  warning(warning: WarningProgress): void;
}
