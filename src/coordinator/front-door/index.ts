export { BridgeForwarder, type BridgeForwarderOptions } from "./bridge-forwarder.ts";
export { type BridgeLookup, serveBridge } from "./bridge-service.ts";
export type { BuildHistory, HistoryChange, HistoryQuery } from "./build-history.ts";
export type {
  ActiveBuild,
  BuildService,
  CacheExportEntry,
  CacheImportEntry,
  DiskUsageQuery,
  ExporterEntry,
  PruneQuery,
  SolveParams,
  UsageRecord,
} from "./build-service.ts";
export type { ReadableContent } from "./content-service.ts";
export { createFrontDoor, type FrontDoorOptions } from "./front-door.ts";
export { frontendCapabilities } from "./frontend-capabilities.ts";
export { platformToMessage } from "./platform-messages.ts";
export { sourceMetaFromMessage, sourceMetaToMessage } from "./source-meta-messages.ts";
export type { TraceSink } from "./trace-service.ts";
