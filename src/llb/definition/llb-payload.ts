import type { LinuxResources, Op } from "../../api/gen/ops.ts";
import type { Vertex } from "../../core/seams/op.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";

/** Payload of a vertex that was loaded from LLB. */
export interface LlbPayload {
  readonly op: Op;
  /** The marshalled op; their sha256 is the vertex digest. */
  readonly bytes: Uint8Array;
  /** The op's own, or the default one; normalized. */
  readonly platform: Platform;
  readonly linuxResources?: LinuxResources;
  /** Digest of the op in the definition, where a policy has changed it or what it is made from. */
  readonly definedAs?: Digest;
}

export interface LlbVertex extends Vertex {
  readonly payload: LlbPayload;
  readonly inputs: readonly LlbEdge[];
}

export interface LlbEdge {
  readonly vertex: LlbVertex;
  readonly index: number;
}
