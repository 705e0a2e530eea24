export { AuthService } from "./auth-service.ts";
export { ContentService, type OfferedLayout } from "./content-service.ts";
export type { ExportTarget } from "./export-targets.ts";
export type { RegistryTls } from "./registry-token.ts";
export { type SecretSource, SecretsService } from "./secrets-service.ts";
export type { SessionService } from "./session-service.ts";
export { type SshForward, SshService } from "./ssh-service.ts";
export { TokenAuthority } from "./token-authority.ts";
export { UploadService } from "./upload-service.ts";
