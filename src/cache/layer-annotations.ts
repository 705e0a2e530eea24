/** sha256 of the uncompressed layer (containerd labels.LabelUncompressed). */
export const diffIdAnnotation = "containerd.io/uncompressed";
/** RFC 3339 (BuildKit cache/metadata.go). */
export const createdAtAnnotation = "buildkit/createdat";
export const descriptionAnnotation = "buildkit/description";
