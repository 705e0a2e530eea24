export { checkPolicies } from "./check-policies.ts";
export { parsePolicy } from "./parse-policy.ts";
export { SourcePolicyEngine } from "./source-policy-engine.ts";
