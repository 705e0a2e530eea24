import type { MergeOp as PbMergeOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheMap, Op } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { plainCacheMap } from "./op-cache-map.ts";

/**
 * Stacks refs: layers are diffs, so a merge is their concatenation and moves no byte. A layer may come twice, as in BuildKit
 * (cache/refs.go, layerWalk): images show it twice, and a diff sees which refs the merge began with.
 */
export class MergeOp implements Op<Ref> {
  readonly #payload: LlbPayload;
  readonly #merge: PbMergeOp;

  constructor(payload: LlbPayload, merge: PbMergeOp) {
    this.#payload = payload;
    this.#merge = merge;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: plainCacheMap(this.#payload), done: true };
  }

  async exec(inputs: readonly Ref[]): Promise<readonly Ref[]> {
    const merged = this.#merge.inputs.filter(({ input }) => input >= 0);
    // As in BuildKit: whoever wants what nothing makes is told that there is no such result.
    if (merged.length === 0) return [];
    const layers = merged.flatMap(({ input }) => {
      const ref = inputs[input];
      if (ref === undefined) throw new BuildError(Code.InvalidArgument, `merge input ${input} is not there`);
      return ref.layers;
    });
    return [{ layers }];
  }
}
