import type { WireError } from "../errors/build-error.ts";

/**
 * What the coordinator and the agent of a container task say to each other, packed with msgpack. The agent opens channel
 * `control` when the mounts are ready; its end ends the container. For each process it is told to start it opens one more
 * channel (`processChannel`): the bytes of a process are held back by their reader alone.
 */
export const controlChannel = "control";

export function processChannel(process: number): string {
  return `process ${process}`;
}

/** Most bytes in one message: a channel would break on more than 16 MiB, and take the container with it. */
export const maxReadBytes = (16 << 20) - (64 << 10);
export const maxInputBytes = 1 << 20;

/** To the agent, on `control`. Processes have numbers which the coordinator gives. */
export type ContainerCommand =
  | { readonly type: "start"; readonly process: number; readonly spec: ProcessSpec }
  | { readonly type: "signal"; readonly process: number; readonly signal: number }
  | { readonly type: "resize"; readonly process: number; readonly rows: number; readonly columns: number }
  | { readonly type: "read"; readonly id: number; readonly mount: number; readonly read: MountRead };

/** To the coordinator, on `control`. */
export type ContainerReply =
  | { readonly type: "ready" }
  | { readonly type: "read"; readonly id: number; readonly data: Uint8Array }
  | { readonly type: "failed"; readonly id: number; readonly error: WireError };

/** To the agent, on a process's channel. */
export type ProcessInput = { readonly type: "stdin"; readonly data: Uint8Array } | { readonly type: "end" };

/** To the coordinator, on a process's channel; `exit` is last. */
export type ProcessOutput =
  | { readonly type: "started" }
  | { readonly type: "output"; readonly stream: 1 | 2; readonly data: Uint8Array }
  | { readonly type: "exit"; readonly error?: WireError };

export interface ProcessSpec {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly secretEnv: readonly { readonly ID: string; readonly name: string; readonly optional: boolean }[];
  readonly cwd: string;
  readonly user: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly security: "sandbox" | "insecure";
  readonly removeMountStubsRecursive: boolean;
}

/** Reads a file, directory or its stat below one mount of a container, as task kind `read` does of a ref. */
export type MountRead =
  | { readonly op: "file"; readonly path: string; readonly offset: number; readonly length: number }
  | { readonly op: "dir"; readonly path: string; readonly includePattern: string }
  | { readonly op: "stat"; readonly path: string };
