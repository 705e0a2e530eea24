export type { BuildOutcome, BuildRecording, RecordedProvenance } from "./build-recording.ts";
export { FleetHistory, type FleetHistoryOptions } from "./fleet-history.ts";
export { recordSteps } from "./record-steps.ts";
export { resultDescriptor } from "./result-descriptor.ts";
export { isLocal, type StepInput, type StepRecord } from "./step-record.ts";
export { TraceRecorder } from "./trace-recorder.ts";
