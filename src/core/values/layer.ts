import { type Descriptor, isDescriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/** Cluster-unique name of one immutable filesystem diff. `[A-Za-z0-9._-]{1,128}`, safe as a file name and as a KV key. */
export type LayerId = string & { readonly __brand: "LayerId" };

/** Where a layer's blob can be had outside the fleet. */
export type BlobOrigin =
  | {
      readonly kind: "registry";
      /** Repository with host, e.g. `docker.io/library/alpine`. */
      readonly repository: string;
      readonly descriptor: Descriptor;
    }
  | {
      /** containerd Content service on a client's session (`--oci-layout`, local cache import). */
      readonly kind: "session";
      readonly sessionId: string;
      readonly storeId: string;
      readonly descriptor: Descriptor;
    };

/**
 * All that is known of one layer. The id is given at birth and never changes; diffId and blobs are added when the layer
 * is first cut into a blob; holders come and go. A layer with origins and no holder is *lazy*: nobody needed its files yet.
 */
export interface LayerInfo {
  readonly id: LayerId;
  /** sha256 of the uncompressed tar, once known. */
  readonly diffId?: Digest;
  /** Known packings of this layer (one per compression), each with annotation `containerd.io/uncompressed` = diffId. */
  readonly blobs: readonly Descriptor[];
  readonly origins: readonly BlobOrigin[];
  /** Ids of agents which have it unpacked. */
  readonly holders: readonly string[];
  /** Bytes of the unpacked diff; 0 while unknown. */
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly description?: string;
  /** The layer it was made on; none at the bottom, and for what was made on a merge of stacks the uppermost. */
  readonly parent?: LayerId;
  /** It was lost, and this one was made in its stead; its files may differ. Nobody uses the lost one any more. */
  readonly replacedBy?: LayerId;
  /** Coordinator that is making it again. */
  readonly remadeBy?: string;
  /** BuildKit record type: regular, internal, frontend, source.local, source.git.checkout (map h12). */
  readonly recordType?: string;
}

/** True for what has the fields that every layer has. */
export function isLayerInfo(value: unknown): value is LayerInfo {
  if (typeof value !== "object" || value === null) return false;
  const { id, blobs, origins, holders, sizeBytes, createdAt } = value as Partial<LayerInfo>;
  return (
    typeof id === "string" &&
    Array.isArray(blobs) &&
    blobs.every(isDescriptor) &&
    Array.isArray(origins) &&
    origins.every((origin) => isDescriptor(origin?.descriptor)) &&
    isStrings(holders) &&
    typeof sizeBytes === "number" &&
    typeof createdAt === "number"
  );
}

/** True for the ids of a stack. */
export function isLayerIds(value: unknown): value is readonly LayerId[] {
  return isStrings(value);
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** A build result's filesystem: diffs stacked bottom to top. No layers is `scratch`. A merge is a concatenation. */
export interface Ref {
  readonly layers: readonly LayerId[];
}

export const scratchRef: Ref = { layers: [] };
