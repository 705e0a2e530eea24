import { BuildError } from "../../core/errors/build-error.ts";
import { findCause, StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { Vertex } from "../../core/seams/op.ts";
import type { LayerInfo, Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";

/** What of an op failed: an action of a file op, or the content key of an input. */
export interface SolveSubject {
  readonly kind: "file" | "cache";
  readonly index: number;
}

interface Refs {
  readonly inputs: readonly (Ref | undefined)[];
  readonly results: readonly (Ref | undefined)[];
}

const noRefs: Refs = { inputs: [], results: [] };

/** A vertex failed, with the refs to look at it by (BuildKit solver/errdefs/solve.go and llbsolver/errdefs). Reads as its cause. */
export class SolveError extends BuildError implements Refs {
  readonly vertex: Vertex;
  /** Before the step: by mount of an exec, by input of a file op; of a content key that one input. */
  readonly inputs: readonly (Ref | undefined)[];
  /** After it, half done: by mount of an exec, by action of a file op. */
  readonly results: readonly (Ref | undefined)[];
  /** Made for `results`. */
  readonly layers: readonly LayerInfo[];
  readonly subject: SolveSubject | undefined;

  constructor(cause: BuildError, vertex: Vertex, refs: Refs, subject?: SolveSubject) {
    const { code, message, details, infrastructure } = cause;
    super(code, message, { cause, details, infrastructure });
    this.vertex = vertex;
    this.inputs = refs.inputs;
    this.results = refs.results;
    this.layers = findCause(cause, StepFailedError)?.state.layers ?? [];
    this.subject = subject;
  }

  static ofCacheMap(error: unknown, vertex: Vertex): SolveError {
    return new SolveError(BuildError.from(error), vertex, noRefs);
  }

  static ofContentKey(error: unknown, vertex: Vertex, index: number, input: Ref): SolveError {
    return new SolveError(
      BuildError.from(error),
      vertex,
      { inputs: [input], results: [] },
      {
        kind: "cache",
        index,
      },
    );
  }

  static ofRun(error: unknown, vertex: Vertex, inputs: readonly Ref[]): SolveError {
    const failure = BuildError.from(error);
    const state = findCause(failure, StepFailedError)?.state;
    const results = state?.results.map((ref) => ref ?? undefined) ?? [];
    const { op } = (vertex.payload as LlbPayload).op;
    if (op?.$case === "exec") {
      const before = op.value.mounts.map(({ input }) => inputs[input]);
      return new SolveError(failure, vertex, { inputs: before, results: before.map((ref, i) => results[i] ?? ref) });
    }
    if (state === undefined) return new SolveError(failure, vertex, noRefs);
    // An action that never came to write leaves nothing to name.
    const refs = results.length === 0 ? noRefs : { inputs, results };
    return new SolveError(
      failure,
      vertex,
      refs,
      state.action === undefined ? undefined : { kind: "file", index: state.action },
    );
  }
}
