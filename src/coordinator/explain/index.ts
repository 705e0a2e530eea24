export { BuildExplainer, type ExplainQuery } from "./build-explainer.ts";
export type { BuildExplanation, Cause, StepExplanation } from "./explanation.ts";
export { FleetListings } from "./fleet-listings.ts";
