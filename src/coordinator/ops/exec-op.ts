import type { ExecOp as PbExecOp } from "../../api/gen/ops.ts";
import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import { cacheMountUses } from "../../core/values/cache-mount.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";
import { opCacheMap } from "./op-cache-map.ts";
import { placementOf, taskContext } from "./task-context.ts";

/** A container step. */
export class ExecOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #payload: LlbPayload;
  readonly #exec: PbExecOp;
  readonly #dependencies: OpDependencies;

  constructor(vertex: Vertex, payload: LlbPayload, exec: PbExecOp, dependencies: OpDependencies) {
    this.#vertex = vertex;
    this.#payload = payload;
    this.#exec = exec;
    this.#dependencies = dependencies;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: opCacheMap(this.#vertex, this.#payload, this.#dependencies.dispatcher), done: true };
  }

  async exec(inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { linuxResources: resources } = context.vertex.payload as LlbPayload;
    const cacheMounts = cacheMountUses(this.#exec.mounts, inputs);
    if (this.#vertex.options.ignoreCache) {
      await this.#dependencies.forgetCacheMounts(cacheMounts, context.sessions.ids);
    }
    const { outputs } = await this.#dependencies.dispatcher.run(
      "exec",
      {
        op: this.#payload.bytes,
        inputs,
        platform: this.#payload.platform,
        ...(resources === undefined ? {} : { resources }),
        entitlements: this.#dependencies.entitlements(this.#vertex),
        cacheMounts,
        description: `mount / from exec ${this.#exec.meta?.args.join(" ") ?? ""}`,
      },
      taskContext(this.#vertex, context, {
        ...placementOf(this.#payload),
        work: this.#dependencies.work(this.#vertex),
      }),
    );
    return outputs;
  }
}
