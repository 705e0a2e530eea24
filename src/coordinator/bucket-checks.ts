import { isCacheMountInfo } from "../core/values/cache-mount.ts";
import { isLayerIds, isLayerInfo } from "../core/values/layer.ts";
import { isCacheKeyEntry } from "../solver/index.ts";
import { decode } from "../util/msgpack.ts";
import { isCacheMountOwner } from "./fleet/cache-mount-locks.ts";
import { isLayerOrigin } from "./fleet/layer-origins.ts";
import { isStepOutcomes } from "./scheduling/step-history.ts";

/** What the buckets of the index hold. */
export const bucketChecks = {
  layers: (value: Uint8Array) => isLayerInfo(decode(value)),
  lineage: (value: Uint8Array) => isLayerOrigin(decode(value)),
  results: (value: Uint8Array) => isLayerIds(decode(value)),
  "cache-keys": isCacheKeyEntry,
  "cache-mounts": (value: Uint8Array) => isCacheMountInfo(decode(value)),
  "cache-mount-locks": (value: Uint8Array) => isCacheMountOwner(decode(value)),
  "step-history": (value: Uint8Array) => isStepOutcomes(decode(value)),
  agents: (value: Uint8Array) => typeof decode(value) === "number",
};
