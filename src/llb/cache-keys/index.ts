export { keyedExec } from "./exec-cache-key.ts";
export { type OpCacheKey, type OpCacheKeyDep, opCacheKey } from "./op-cache-key.ts";
export {
  type BlobKey,
  blobSourceKey,
  type GitKey,
  gitSourceKey,
  type HttpKey,
  httpSourceKey,
  imageConfigKey,
  imageManifestKey,
  type LocalKey,
  localSourceKey,
  sourceCacheDigest,
} from "./source-cache-key.ts";
