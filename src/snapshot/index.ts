export { InvalidLayerError } from "./diff/layer-path.ts";
export { LayerPacker, type LayerPackerOptions } from "./layer-packer.ts";
export { NativeSnapshotter } from "./native-snapshotter.ts";
export { openSnapshotter, type SnapshotterOptions } from "./open-snapshotter.ts";
export { OverlaySnapshotter } from "./overlay-snapshotter.ts";
export { TracingSnapshotter } from "./tracing-snapshotter.ts";
export { LayerWorkers, type LayerWorkersOptions } from "./worker/layer-workers.ts";
