import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";
import { opCacheMap } from "./op-cache-map.ts";
import { placementOf, taskContext } from "./task-context.ts";

/** File actions; they need no container and so run on any platform. */
export class FileOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #payload: LlbPayload;
  readonly #dependencies: OpDependencies;

  constructor(vertex: Vertex, payload: LlbPayload, dependencies: OpDependencies) {
    this.#vertex = vertex;
    this.#payload = payload;
    this.#dependencies = dependencies;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: opCacheMap(this.#vertex, this.#payload, this.#dependencies.dispatcher), done: true };
  }

  async exec(inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { outputs } = await this.#dependencies.dispatcher.run(
      "file",
      { op: this.#payload.bytes, inputs, platform: this.#payload.platform, description: this.#vertex.name },
      taskContext(this.#vertex, context, { constraints: placementOf(this.#payload).constraints }),
    );
    return outputs;
  }
}
