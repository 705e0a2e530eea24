export {
  type AttestOptions,
  type ProvenanceOptions,
  parseAttestOptions,
  recordedProvenance,
} from "./attest-options.ts";
export { attestSbom } from "./attest-sbom.ts";
export { BuildProvenance, type BuildProvenanceOptions, type BuiltRefs } from "./build-provenance.ts";
export type { GraphWalk } from "./capture-edge.ts";
export { InputOrigins } from "./input-origins.ts";
export { messageJson, opJson } from "./op-json.ts";
export type { StepBlobs } from "./predicate.ts";
export { loadProvenanceEnvironment, type ProvenanceEnvironment } from "./provenance-environment.ts";
export { type FrontendRequest, RequestScope } from "./request-scope.ts";
