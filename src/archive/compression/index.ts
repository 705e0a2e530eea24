export { type CompressOptions, compress } from "./compress.ts";
export { type DecompressOptions, type DetectedCompression, decompress, detectCompression } from "./decompress.ts";
export { compressionOfMediaType, layerMediaType } from "./media-type.ts";
