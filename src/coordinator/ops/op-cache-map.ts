import type { CacheMap, CacheMapDep, OpContext, Vertex } from "../../core/seams/op.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { Ref } from "../../core/values/layer.ts";
import { opCacheKey } from "../../llb/cache-keys/index.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { taskContext } from "./task-context.ts";

/** The one cache map of an op that is no source; content digests are computed by an agent that holds the input. */
export function opCacheMap(vertex: Vertex, payload: LlbPayload, dispatcher: TaskDispatcher): CacheMap<Ref> {
  const { digest, deps } = opCacheKey(payload.op, payload.platform);
  return {
    digest,
    deps: deps.map(
      ({ selectorDigest, contentSelectors }): CacheMapDep<Ref> => ({
        ...(selectorDigest === undefined ? {} : { selector: selectorDigest }),
        ...(contentSelectors === undefined
          ? {}
          : {
              computeDigest: async (ref: Ref, context: OpContext) => {
                const body = { ref, selectors: contentSelectors };
                return (await dispatcher.run("checksum", body, taskContext(vertex, context))).digest;
              },
            }),
      }),
    ),
  };
}

/** The definition keys of an op without content keys. */
export function plainCacheMap(payload: LlbPayload): CacheMap<Ref> {
  const { digest, deps } = opCacheKey(payload.op, payload.platform);
  return { digest, deps: deps.map(() => ({})) };
}
