export type { BuildOutcome, BuildOutput, BuildRequest, CacheOption } from "./build-request.ts";
export { BuildsClient } from "./builds-client.ts";
export { connectDaemon, type DaemonAddress } from "./connect.ts";
export { BridgeClient, ControlClient } from "./control-client.ts";
export { DockerConfig } from "./docker-config/docker-config.ts";
export { policyDenials } from "./policy-denials.ts";
export { type RunBuildOptions, runBuild } from "./run-build.ts";
export { ShellCall, type ShellIo } from "./shell-call.ts";
export { sourceExcerpts } from "./source-excerpts.ts";
