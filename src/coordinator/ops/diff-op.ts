import type { DiffOp as PbDiffOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import { type Ref, scratchRef } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";
import { plainCacheMap } from "./op-cache-map.ts";
import { taskContext } from "./task-context.ts";

/** What leads from one ref to another: the layers on top when the first is the bottom of the second, else compared files. */
export class DiffOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #payload: LlbPayload;
  readonly #diff: PbDiffOp;
  readonly #dependencies: OpDependencies;

  constructor(vertex: Vertex, payload: LlbPayload, diff: PbDiffOp, dependencies: OpDependencies) {
    this.#vertex = vertex;
    this.#payload = payload;
    this.#diff = diff;
    this.#dependencies = dependencies;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: plainCacheMap(this.#payload), done: true };
  }

  async exec(inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const lower = inputAt(inputs, this.#diff.lower?.input ?? -1);
    const upper = inputAt(inputs, this.#diff.upper?.input ?? -1);
    if (lower.layers.every((id, index) => upper.layers[index] === id)) {
      return [{ layers: upper.layers.slice(lower.layers.length) }];
    }
    const body = { lower, upper, description: this.#vertex.name };
    return (await this.#dependencies.dispatcher.run("diff", body, taskContext(this.#vertex, context))).outputs;
  }
}

function inputAt(inputs: readonly Ref[], index: number): Ref {
  if (index < 0) return scratchRef;
  const ref = inputs[index];
  if (ref === undefined) throw new BuildError(Code.InvalidArgument, `diff input ${index} is not there`);
  return ref;
}
