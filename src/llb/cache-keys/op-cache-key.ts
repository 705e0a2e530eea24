import type * as pb from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { ContentSelector } from "../../core/values/task.ts";
import { execCacheKey } from "./exec-cache-key.ts";
import { fileCacheKey } from "./file-cache-key.ts";
import { buildOpJson, diffOpJson, mergeOpJson, passthroughOpJson } from "./op-json.ts";

/** An op's own part of its cache key, and what it looks at of each input. */
export interface OpCacheKey {
  readonly digest: Digest;
  /** One per input of the op. */
  readonly deps: readonly OpCacheKeyDep[];
}

export interface OpCacheKeyDep {
  readonly selectorDigest?: Digest;
  /** Parts whose content makes the slow key. Absent: the definition key is all there is. Never empty. */
  readonly contentSelectors?: readonly ContentSelector[];
}

/**
 * Key of an op that is not a source; byte-compatible with BuildKit (map d12–d18; solver/llbsolver/ops).
 * @throws BuildError when mounts or actions refer to inputs that are not there
 */
export function opCacheKey(op: pb.Op, platform: Platform): OpCacheKey {
  const inputs = op.inputs.length;
  switch (op.op?.$case) {
    case "exec":
      return execCacheKey(op.op.value, inputs, platform);
    case "file":
      return fileCacheKey(op.op.value, inputs);
    case "merge":
      return plainKey(`{"Type":"buildkit.merge.v0","Merge":${mergeOpJson(op.op.value)}}`, inputs);
    case "diff":
      return plainKey(`{"Type":"buildkit.diff.v0","Diff":${diffOpJson(op.op.value)}}`, inputs);
    case "build":
      return plainKey(`{"Type":"buildkit.build.v0","Exec":${buildOpJson(op.op.value)}}`, inputs);
    case "passthrough":
      return plainKey(`{"Type":"buildkit.passthrough.v0","Passthrough":${passthroughOpJson(op.op.value)}}`, inputs);
    case "source":
      throw new BuildError(Code.Internal, "cache key of a source comes from what it resolves to");
    default:
      throw new BuildError(Code.Unknown, "no support for <nil>");
  }
}

function plainKey(json: string, inputs: number): OpCacheKey {
  return { digest: sha256(json), deps: Array.from({ length: inputs }, () => ({})) };
}
