import type { PassthroughOp as PbPassthroughOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheMap, Op } from "../../core/seams/op.ts";
import { type Ref, scratchRef } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { plainCacheMap } from "./op-cache-map.ts";

/** Gives its inputs on under other metadata (map c17). */
export class PassthroughOp implements Op<Ref> {
  readonly #payload: LlbPayload;
  readonly #passthrough: PbPassthroughOp;

  constructor(payload: LlbPayload, passthrough: PbPassthroughOp) {
    this.#payload = payload;
    this.#passthrough = passthrough;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: plainCacheMap(this.#payload), done: true };
  }

  async exec(inputs: readonly Ref[]): Promise<readonly Ref[]> {
    return this.#passthrough.outputs.map((output) => {
      if (output < 0n) return scratchRef;
      const ref = inputs[Number(output)];
      if (ref === undefined) throw new BuildError(Code.InvalidArgument, `passthrough input ${output} is not there`);
      return ref;
    });
  }
}
