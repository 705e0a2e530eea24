import type { ProgressGroup, Range, SourceInfo } from "../../api/gen/ops.ts";

/**
 * One batch of a build's progress (BuildKit client.SolveStatus). All times are Unix milliseconds, fractions allowed.
 * A vertex or status is sent again whenever it changes; the newest wins. Batches of one build arrive in order.
 */
export interface SolveProgress {
  readonly vertexes: readonly VertexProgress[];
  readonly statuses: readonly VertexStatus[];
  readonly logs: readonly VertexLog[];
  readonly warnings: readonly VertexWarning[];
}

export interface VertexProgress {
  readonly digest: string;
  readonly inputs: readonly string[];
  readonly name: string;
  readonly cached: boolean;
  readonly startedAt?: number;
  readonly completedAt?: number;
  /** Empty or absent: no error. */
  readonly error?: string;
  readonly progressGroup?: ProgressGroup;
}

/** A line under a vertex, updated in place by (vertex, id). */
export interface VertexStatus {
  readonly vertex: string;
  readonly id: string;
  readonly name: string;
  readonly current: number;
  readonly total: number;
  readonly timestamp: number;
  readonly startedAt?: number;
  readonly completedAt?: number;
}

export interface VertexLog {
  readonly vertex: string;
  /** 1 stdout, 2 stderr */
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: number;
}

export interface VertexWarning {
  readonly vertex: string;
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly info?: SourceInfo;
  readonly ranges?: readonly Range[];
}
