export { busyboxEntries, makeLayer, pushImage } from "../../../deploy/demo/base-image.ts";
export {
  BuildClient,
  type ContextFiles,
  directoryOutput,
  type FinishedBuild,
  fileOutput,
  memorySecrets,
  pushOutput,
  type TestBuild,
  type VertexSeen,
} from "./build-client.ts";
export { Buildx, type BuildxSteps } from "./buildx.ts";
export { filesWith, hasValue } from "./byte-search.ts";
export { CliProcess } from "./cli-process.ts";
export { DockerEngine } from "./docker-engine.ts";
export { type Fault, type FaultRule, FaultyProxy } from "./faulty-proxy.ts";
export { mountsUnder, processesOf } from "./leftovers.ts";
export { programEntries } from "./program-entries.ts";
export { Sandbox, type SandboxAgent, type SandboxHead, type SandboxOptions } from "./sandbox.ts";
export { waitFor } from "./wait-for.ts";
