import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";

/** Writes into `target` the layer that turns one stack of layer directories (top first) into another. */
export type CompareStacks = (
  lower: readonly string[],
  upper: readonly string[],
  target: string,
  signal: AbortSignal,
) => Promise<void>;

/** DiffOp for two refs of which neither continues the other: compares their files. */
export class DiffOp implements OpRunner<"diff"> {
  readonly kind = "diff";
  readonly #snapshotter: Snapshotter;
  readonly #compare: CompareStacks;

  constructor(snapshotter: Snapshotter, compare: CompareStacks) {
    this.#snapshotter = snapshotter;
    this.#compare = compare;
  }

  async run({ body }: Task<"diff">, { layers, signal }: RunContext): Promise<TaskResult<"diff">> {
    // Views pin the layers while they are compared.
    await using _lower = await layers.view(body.lower, signal);
    await using _upper = await layers.view(body.upper, signal);
    await using ingest = await this.#snapshotter.ingest(signal);
    await this.#compare(this.#directories(body.lower), this.#directories(body.upper), ingest.path, signal);
    const { id, sizeBytes } = await ingest.commit(layers.newId());
    return { outputs: [{ layers: [id] }], layers: [layers.born(id, sizeBytes, body.description)] };
  }

  #directories(ref: Ref): readonly string[] {
    return ref.layers.map((id) => this.#snapshotter.layerPath(id)).reverse();
  }
}
