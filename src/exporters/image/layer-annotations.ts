/** diffId of a blob. */
export const diffIdAnnotation = "containerd.io/uncompressed";
