import type { Vertex } from "../core/seams/op.ts";
import type { Digest } from "../core/values/digest.ts";

/**
 * What became of one vertex of a job, and the parts of its cache key as far as they were needed. The solver has all of it
 * anyway: nothing is computed for it.
 */
export interface VertexOutcome {
  readonly vertex: Vertex;
  /** Identity in the solver; progress goes under it. */
  readonly digest: Digest;
  /**
   * `ran` and `failed` are about its op; a vertex is `joined` when the run of an equal one served it, and `unused` when nobody
   * needed its result, or it was cut off before it had one.
   */
  readonly how: "unused" | "cached" | "joined" | "ran" | "failed";
  /** Id of the store that a `cached` result came from. */
  readonly loadedFrom?: string;
  /** A stored result was found and could not be loaded. */
  readonly lostResult: boolean;
  /** Digests of the cache maps that were asked for; `random:…` holds for one session. */
  readonly keys: readonly Digest[];
  readonly inputs: readonly InputOutcome[];
  /** What a source turned out to be (`Op.pin`). */
  readonly pin?: string;
}

export interface InputOutcome {
  /** `VertexOutcome.digest` of the input, which is in the same list. */
  readonly digest: Digest;
  readonly output: number;
  readonly selector?: Digest;
  /** Content digest of what is selected, where it was computed. */
  readonly content?: Digest;
}

/** As a job sees it. */
export interface JobVertexOutcome extends VertexOutcome {
  /**
   * Place in the order of starts, from 1; absent when it was never shown as started. Plain progress numbers steps as it first
   * prints them, which is the same but for steps side by side.
   */
  readonly number?: number;
}
