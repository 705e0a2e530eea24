import { Op } from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import { type State, scratch } from "./state.ts";
import type { MarshalContext, MarshalledVertex, Output, Vertex } from "./vertex.ts";
import { baseOp, type VertexOptions, vertexMetadata } from "./vertex-options.ts";

/**
 * Layers of all states stacked, later ones on top. Empty states have no part in it; fewer than two others need no op.
 * The settings are those of the first (BuildKit client/llb/merge.go).
 */
export function merge(states: readonly State[], options: VertexOptions = {}): State {
  const [first, ...others] = states.filter((state) => state.output !== undefined);
  if (first === undefined) return scratch();
  if (others.length === 0) return first;
  return first.withOutput(new MergeVertex([first, ...others], options));
}

/** What `upper` changed on top of `lower` (BuildKit client/llb/diff.go). */
export function diff(lower: State, upper: State, options: VertexOptions = {}): State {
  if (lower.output === undefined) return upper.output === undefined ? scratch() : upper;
  return lower.withOutput(new DiffVertex(lower.output, upper.output, options));
}

class MergeVertex implements Vertex, Output {
  readonly #inputs: readonly Output[];
  readonly #options: VertexOptions;

  constructor(states: readonly State[], options: VertexOptions) {
    this.#inputs = states.flatMap((state) => (state.output === undefined ? [] : [state.output]));
    this.#options = options;
  }

  vertex(): Vertex {
    return this;
  }

  index(): number {
    return 0;
  }

  inputs(): readonly Output[] {
    return this.#inputs;
  }

  marshal(context: MarshalContext): MarshalledVertex {
    const op = baseOp(context, this.#options, false);
    op.inputs = this.#inputs.flatMap((output) => context.input(output) ?? []);
    op.op = { $case: "merge", value: { inputs: op.inputs.map((_, input) => ({ input })) } };
    return encoded(op, this.#options, "mergeop");
  }
}

class DiffVertex implements Vertex, Output {
  readonly #lower: Output;
  readonly #upper: Output | undefined;
  readonly #options: VertexOptions;

  constructor(lower: Output, upper: Output | undefined, options: VertexOptions) {
    this.#lower = lower;
    this.#upper = upper;
    this.#options = options;
  }

  vertex(): Vertex {
    return this;
  }

  index(): number {
    return 0;
  }

  inputs(): readonly Output[] {
    return this.#upper === undefined ? [this.#lower] : [this.#lower, this.#upper];
  }

  marshal(context: MarshalContext): MarshalledVertex {
    const op = baseOp(context, this.#options, false);
    const add = (output: Output | undefined): number => {
      const input = context.input(output);
      return input === undefined ? -1 : op.inputs.push(input) - 1;
    };
    op.op = { $case: "diff", value: { lower: { input: add(this.#lower) }, upper: { input: add(this.#upper) } } };
    return encoded(op, this.#options, "diffop");
  }
}

function encoded(op: Op, options: VertexOptions, cap: string): MarshalledVertex {
  const bytes = Op.encode(op).finish();
  return {
    digest: sha256(bytes),
    bytes,
    metadata: vertexMetadata(options, [cap]),
    locations: options.locations ?? [],
  };
}
