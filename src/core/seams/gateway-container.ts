import type { Mount, NetMode } from "../../api/gen/ops.ts";
import type { BuildError } from "../errors/build-error.ts";
import type { MountRead, ProcessSpec } from "../values/container-messages.ts";
import type { Platform } from "../values/platform.ts";
import type { ProcessControl, ProcessIo } from "./executor.ts";
import type { BridgeRef } from "./llb-bridge.ts";

/** A container that a frontend runs processes in, outside the graph (BuildKit frontend/gateway/container). */
export interface ContainerRequest {
  readonly mounts: readonly ContainerRequestMount[];
  readonly network: NetMode;
  /** Default: that of the agent. */
  readonly platform?: Platform;
  /** Worker filters; any one suffices. */
  readonly constraints?: readonly string[];
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[];
  readonly hostname?: string;
  /** Directories with small files, shown read-only. */
  readonly files?: readonly ContainerFile[];
}

export interface ContainerRequestMount {
  /** `input`, `output` and `resultID` do not count. */
  readonly mount: Mount;
  readonly ref?: Pick<BridgeRef, "evaluate">;
}

export interface ContainerFile {
  /** In the container. */
  readonly directory: string;
  readonly name: string;
  readonly data: Uint8Array;
}

/**
 * Mounts on one agent and the processes in them. The first process is the container's init: the others join it, and end with
 * it. Dispose kills what runs and resolves when nothing is left; the build's end does the same.
 */
export interface GatewayContainer extends AsyncDisposable {
  /** How the first process that did not end well ended. */
  readonly failure: BuildError | undefined;
  start(process: ProcessSpec, io: ProcessIo): GatewayProcess;
  /** @param mount index into the request's mounts. @returns as the result of a `read` task */
  read(mount: number, read: MountRead, signal: AbortSignal): Promise<Uint8Array>;
}

export interface GatewayProcess extends ProcessControl {
  /** Resolves at exit code 0 once all output is delivered; rejects with an ExecFailedError's details at any other. */
  readonly ended: Promise<void>;
}
