import type { ExecOp as PbExecOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import { cacheMountUses } from "../../core/values/cache-mount.ts";
import { bestDevices, findDevices } from "../../core/values/cdi-device.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { goQuote } from "../../util/go-quote.ts";
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
    const devices = this.#devices();
    const { outputs } = await this.#dependencies.dispatcher.run(
      "exec",
      {
        op: this.#payload.bytes,
        inputs,
        platform: this.#payload.platform,
        ...(resources === undefined ? {} : { resources }),
        entitlements: this.#dependencies.entitlements(this.#vertex),
        cacheMounts,
        ...(devices.length === 0 ? {} : { devices }),
        description: `mount / from exec ${this.#exec.meta?.args.join(" ") ?? ""}`,
      },
      taskContext(this.#vertex, context, {
        ...placementOf(this.#payload),
        ...(devices.length === 0 ? {} : { devices }),
        work: this.#dependencies.work(this.#vertex),
      }),
    );
    return outputs;
  }

  /** As agents have them now. @throws BuildError in BuildKit's words: there the executor is the one that looks */
  #devices(): readonly string[] {
    const { cdiDevices: requests, meta } = this.#exec;
    try {
      return findDevices(requests, bestDevices(requests, this.#dependencies.devices()));
    } catch (error) {
      const command = goQuote(meta?.args.join(" ") ?? "");
      throw BuildError.from(error).wrap(
        `process ${command} did not complete successfully: CDI device injection failed`,
      );
    }
  }
}
