import { BuildError } from "../core/errors/build-error.ts";
import type { Edge } from "../core/seams/op.ts";
import type { ProgressWarning, ProgressWriter } from "../core/seams/progress.ts";
import type { Digest } from "../core/values/digest.ts";
import type { CacheManager } from "./cache-manager.ts";
import type { CachedResult } from "./cached-result.ts";
import type { ProgressEvent } from "./progress-event.ts";
import type { JobVertexOutcome } from "./vertex-outcome.ts";

export interface BuildOptions<T> {
  readonly signal: AbortSignal;
  /** Imported caches that the vertices of this build may be found in. */
  readonly caches?: readonly CacheManager<T>[];
}

/** One client's build: it keeps the vertices it has asked for alive until it is discarded. */
export interface Job<T> {
  readonly id: string;
  /** Sessions that may serve the vertices of the job. May change at any time. */
  readonly sessionIds: string[];
  readonly startedAt: number;
  /**
   * Evaluates an edge. The result lives until the job is discarded.
   * @throws BuildError of the vertex that failed, with a Vertex detail; Canceled `context canceled` when the signal aborts
   */
  build(edge: Edge, options: BuildOptions<T>): Promise<CachedResult<T>>;
  /**
   * An error says that results of the job cannot be read: who builds their edges again gets them made anew.
   * @returns the edges of those; none when the error is another one, or when making them anew is of no use
   */
  discredit(error: unknown): Promise<readonly Edge[]>;
  /** All progress from the start of the job. Any number of readers. Ends when the job is discarded. */
  progress(signal: AbortSignal): AsyncIterable<ProgressEvent>;
  /** Shows work that is no vertex of a definition as one, e.g. `[internal] load build definition`, `exporting to image`. */
  inVertex<R>(
    name: string,
    work: (progress: ProgressWriter, signal: AbortSignal) => Promise<R>,
    signal: AbortSignal,
  ): Promise<R>;
  /** Shows a warning under a vertex of the job. */
  warn(vertex: Digest, warning: ProgressWarning): void;
  /** Every vertex of the job's definitions and what has become of it so far, inputs before those who use them. */
  outcomes(): readonly JobVertexOutcome[];
  /**
   * Aborts builds of the job that still run, ends its progress, and lets go of its vertices. Resolves when what nobody else
   * wants has come to rest and its results are released. Later calls do nothing.
   */
  discard(): Promise<void>;
}

/** The error of a build as its caller should see it. */
export function buildFailure(error: unknown, signal: AbortSignal): BuildError {
  return BuildError.from(signal.aborted ? signal.reason : error);
}
