import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { compressionOfMediaType } from "./media-type.ts";
import type { CompressionType } from "./task.ts";

const tocDigestKey = "containerd.io/snapshot/stargz/toc.digest";
const sizeKey = "io.containers.estargz.uncompressed-size";

/** What tells an eStargz blob from a gzip (stargz-snapshotter estargz/types.go). */
export function estargzAnnotations(tocDigest: Digest, uncompressedBytes: number): Readonly<Record<string, string>> {
  return { [tocDigestKey]: tocDigest, [sizeKey]: String(uncompressedBytes) };
}

/** Those of a blob, none if it is no eStargz. */
export function estargzAnnotationsOf({ annotations = {} }: Descriptor): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => key === tocDigestKey || key === sizeKey));
}

/** Compression of a layer blob. */
export function compressionOf(blob: Descriptor): CompressionType | undefined {
  return blob.annotations?.[tocDigestKey] === undefined ? compressionOfMediaType(blob.mediaType) : "estargz";
}
