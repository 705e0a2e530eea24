/** Media types of manifests, configs and layers (OCI image-spec media-types.md, Docker image manifest v2 schema 2). */
export const MediaType = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerSchema1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
} as const;

export function isIndexType(mediaType: string): boolean {
  return mediaType === MediaType.ociIndex || mediaType === MediaType.dockerIndex;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === MediaType.ociManifest || mediaType === MediaType.dockerManifest;
}

/** Layers that registries do not serve; they come from the descriptor's urls and are not pushed. */
export function isNonDistributableType(mediaType: string): boolean {
  return mediaType.includes(".nondistributable.") || mediaType.includes(".rootfs.foreign.");
}

/** The type of the same layer where everybody may serve it. */
export function distributableType(mediaType: string): string {
  return mediaType.replace(".nondistributable.", ".").replace(".rootfs.foreign.", ".rootfs.");
}

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
