export type { SbomConfig } from "./attestations.ts";
export { type BuildConfig, type CacheImport, parseBuildConfig } from "./build-config.ts";
export { BuildContext, type DockerfileSource } from "./build-context.ts";
export { type GitRef, gitOptions, parseGitRef } from "./git-ref.ts";
export { findNamedContext, type LoadedContext, NamedContext } from "./named-context.ts";
