export { getSecret, SecretNotFoundError } from "./secrets.ts";
export { askSourcePolicy } from "./source-policy.ts";
export { findSshAgent, forwardSshConnection } from "./ssh-forward.ts";
export { unaryCall } from "./unary-call.ts";
