import type { SourceOp } from "../../api/gen/ops.ts";
import type { CacheMap, Op, OpContext } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import { sourceCacheDigest } from "../../llb/cache-keys/index.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { ResolvedImage } from "../../source/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";

/** An image: resolved here, its layers left where they are until a step needs files (map d5, d24). */
export class ImageSourceOp implements Op<Ref> {
  readonly #payload: LlbPayload;
  readonly #source: SourceOp;
  readonly #dependencies: OpDependencies;
  #resolved: ResolvedImage | undefined;

  constructor(payload: LlbPayload, source: SourceOp, dependencies: OpDependencies) {
    this.#payload = payload;
    this.#source = source;
    this.#dependencies = dependencies;
  }

  get pin(): string | undefined {
    return this.#resolved?.digest;
  }

  async cacheMap(index: number, context: OpContext): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    const { cacheKeys } = await this.#resolve(context);
    const key = index === 0 ? cacheKeys[0] : cacheKeys[1];
    return { map: { digest: sourceCacheDigest(key), deps: [] }, done: index >= 1 || cacheKeys[0] === cacheKeys[1] };
  }

  async exec(_inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { layers, ref } = await this.#resolve(context);
    await this.#dependencies.recordLayers(layers);
    return [ref];
  }

  async #resolve(context: OpContext): Promise<ResolvedImage> {
    this.#resolved ??= await this.#dependencies.images.resolve(this.#source, this.#payload.platform, {
      sessions: context.sessions,
      signal: context.signal,
      progress: context.progress,
    });
    return this.#resolved;
  }
}
