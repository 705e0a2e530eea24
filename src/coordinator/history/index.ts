export type { BuildOutcome, BuildRecording, RecordedProvenance } from "./build-recording.ts";
export { FleetHistory, type FleetHistoryOptions } from "./fleet-history.ts";
export { resultDescriptor } from "./result-descriptor.ts";
