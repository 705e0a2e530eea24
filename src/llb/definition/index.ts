export { checkTerminal } from "./check-terminal.ts";
export { protoError } from "./decode-op.ts";
export { assembleDefinition, type DefinitionParts, type EncodedOp, encodeOp } from "./encode-op.ts";
export type { LlbEdge, LlbPayload, LlbVertex } from "./llb-payload.ts";
export { type LoadDefinitionOptions, loadDefinition, sourceOps } from "./load-definition.ts";
export { mergedVertex, relaxedResources } from "./merged-vertex.ts";
export { requiredEntitlements } from "./required-entitlements.ts";
