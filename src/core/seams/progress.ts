/**
 * What a running vertex reports. All calls are cheap and never throw; they may be dropped once the vertex has ended.
 * Times are Unix milliseconds (fractions allowed).
 */
export interface ProgressWriter {
  /** One progress line under a vertex, updated in place by id: `resolve …`, `transferring context:`, `sha256:…` (map a19). */
  status(update: ProgressStatus): void;
  /** @param stream 1 stdout, 2 stderr */
  log(stream: 1 | 2, data: Uint8Array): void;
  warn(warning: ProgressWarning): void;
}

export interface ProgressStatus {
  readonly id: string;
  /** BuildKit's `action`, e.g. `downloading`; usually empty. */
  readonly name?: string;
  readonly current?: number;
  readonly total?: number;
  readonly startedAt?: number;
  readonly completedAt?: number;
}

export interface ProgressWarning {
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  /** Encoded pb.SourceInfo and pb.Range as decoded objects of the generated codecs, if the warning has a place. */
  readonly info?: import("../../api/gen/ops.ts").SourceInfo;
  readonly ranges?: readonly import("../../api/gen/ops.ts").Range[];
}
