export { ArchiveExporter, type NameForms } from "./archive/archive-exporter.ts";
export { FilesExporter } from "./files/files-exporter.ts";
export { existingBlob } from "./image/existing-blob.ts";
export { ImageExporter } from "./image/image-exporter.ts";
export type { WrittenImage } from "./image/image-writer.ts";
export { diffIdAnnotation } from "./image/layer-annotations.ts";
export type { ManifestPusher, PushDestination } from "./image/manifest-pusher.ts";
export { isMultiRef, resultPlatforms } from "./result-platforms.ts";
export { TracingExporter } from "./tracing-exporter.ts";
