import type { Vertex } from "../../core/seams/op.ts";
import type { LlbPayload, LlbVertex } from "../../llb/definition/index.ts";
import { inputsFirst } from "../../util/inputs-first.ts";
import { reducedVertex } from "./reduced-vertex.ts";
import type { StepHistory } from "./step-history.ts";
import { upwardRanks } from "./upward-rank.ts";

/** What ops that run no command are taken to last. Seconds. */
const otherSeconds = 0.5;

/** Upward ranks of the vertices in flight, from what their steps took before. They live as long as their vertices. */
export class VertexRanks {
  readonly #history: Pick<StepHistory, "estimate">;
  readonly #ranks = new WeakMap<Vertex, number>();

  constructor(history: Pick<StepHistory, "estimate">) {
    this.#history = history;
  }

  /** Ranks the graph that ends in `root`. */
  note(root: LlbVertex): void {
    const vertices = [...inputsFirst(root, ({ inputs }) => inputs.map(({ vertex }) => vertex))];
    const ranks = upwardRanks(
      vertices.map(({ digest, inputs, payload }) => ({
        id: digest,
        inputs: inputs.map(({ vertex }) => vertex.digest),
        expectedSeconds: this.#seconds(payload),
      })),
    );
    for (const vertex of vertices) this.#ranks.set(vertex, ranks.get(vertex.digest) ?? 0);
  }

  /** 0 for a vertex of no graph that was noted. */
  of(vertex: Vertex): number {
    return this.#ranks.get(vertex) ?? 0;
  }

  #seconds({ op, platform }: LlbPayload): number {
    const key = reducedVertex(op, platform);
    return key === undefined ? otherSeconds : this.#history.estimate(key).expectedSeconds;
  }
}
