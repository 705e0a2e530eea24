export type { UploadOutcome } from "./blob-upload.ts";
export type { RegistryCall, RegistryClientOptions } from "./registry-client.ts";
export { maxManifestBytes, RegistryClient } from "./registry-client.ts";
export type { RegistryConfig } from "./registry-config.ts";
export { RegistryError } from "./registry-error.ts";
export type { RegistryEndpoint } from "./registry-hosts.ts";
export { RegistryHosts } from "./registry-hosts.ts";
export { SiblingMounts } from "./sibling-mounts.ts";
export { parseTokenAnswer, type TokenAnswer, type TokenLogin, tokenForm, tokenGet } from "./token-messages.ts";
