import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CompressionType } from "../../core/values/task.ts";

const oci = "application/vnd.oci.image.layer.v1.tar";
const docker = "application/vnd.docker.image.rootfs.diff.tar";

/** Media type of a layer blob (BuildKit util/compression). estargz is a gzip to everybody who does not know it. */
export function layerMediaType(type: CompressionType, ociMediaTypes: boolean): string {
  switch (type) {
    case "uncompressed":
      return ociMediaTypes ? oci : docker;
    case "gzip":
    case "estargz":
      return ociMediaTypes ? `${oci}+gzip` : `${docker}.gzip`;
    case "zstd":
      return ociMediaTypes ? `${oci}+zstd` : `${docker}.zstd`;
  }
}

/** Compression named by a layer's media type, non-distributable ones included. @throws BuildError InvalidArgument */
export function compressionOfMediaType(mediaType: string): "uncompressed" | "gzip" | "zstd" {
  if (
    /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1|docker\.image\.rootfs(\.foreign)?\.diff)\.tar/.test(
      mediaType,
    )
  ) {
    if (/[.+]gzip$/.test(mediaType)) return "gzip";
    if (/[.+]zstd$/.test(mediaType)) return "zstd";
    if (mediaType.endsWith(".tar")) return "uncompressed";
  }
  throw new BuildError(Code.InvalidArgument, `unsupported layer media type ${JSON.stringify(mediaType)}`);
}
