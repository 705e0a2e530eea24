/** Media types of OCI image-spec 1.1 and Docker image manifest v2 schema 2. */
export const ociTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
} as const;

export const dockerTypes = {
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
} as const;

const toDocker: Readonly<Record<string, string>> = {
  "application/vnd.oci.image.layer.v1.tar": "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.oci.image.layer.v1.tar+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd": "application/vnd.docker.image.rootfs.diff.tar.zstd",
  "application/vnd.oci.image.layer.nondistributable.v1.tar": "application/vnd.docker.image.rootfs.foreign.diff.tar",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip":
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};
const toOci: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(toDocker).map(([oci, docker]) => [docker, oci]),
);

/** The layer media type of the other family, or itself. */
export function layerMediaType(mediaType: string, oci: boolean): string {
  return (oci ? toOci : toDocker)[mediaType] ?? mediaType;
}

/** Compression a layer media type names. */
export function compressionOfMediaType(mediaType: string): "uncompressed" | "gzip" | "zstd" | undefined {
  if (/[.+]gzip$/.test(mediaType)) return "gzip";
  if (/[.+]zstd$/.test(mediaType)) return "zstd";
  return /[./]tar$/.test(mediaType) ? "uncompressed" : undefined;
}
