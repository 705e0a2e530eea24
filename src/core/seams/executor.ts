import type { ContainerEdits } from "../values/container-edits.ts";
import type { Platform } from "../values/platform.ts";

/**
 * Runs one process in a fresh container whose root is a directory the caller has mounted. The executor owns the container,
 * its cgroup, its network namespace and the files it generates (resolv.conf, hosts); the caller owns root and mounts.
 */
export interface Executor {
  /** `runc` or `crun`. */
  readonly name: string;
  /**
   * Runs to the end. Aborting the signal kills the container and resolves its cleanup before rejecting.
   * @throws ExecFailedError when the exit code is not in `validExitCodes`
   * @throws BuildError for everything that kept the process from running
   */
  run(process: ContainerProcess, io: ProcessIo, signal: AbortSignal): Promise<ExecUsage>;
  /**
   * Runs one more process in a container whose `run` has not ended; waits until that is up. It ends with the container.
   * @param container the id given to `run`
   * @throws as `run`
   */
  exec(container: string, process: AdditionalProcess, io: ProcessIo, signal: AbortSignal): Promise<void>;
  /** Kills containers left by an earlier process of this agent. */
  reap(): Promise<void>;
}

export interface ContainerProcess {
  /** Unique on the agent; names the container. */
  readonly id: string;
  /** Absolute path of the merged root filesystem. */
  readonly rootfs: string;
  readonly rootReadonly: boolean;
  /** Mounts over the root, in order; sources are host paths. */
  readonly mounts: readonly ContainerMount[];
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** `uid`, `name`, `uid:gid`, `name:group` or empty (root), resolved in the root's /etc/passwd and /etc/group. */
  readonly user: string;
  readonly hostname: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly network: "sandbox" | "host" | "none";
  readonly security: "sandbox" | "insecure";
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  readonly resources?: LinuxResources;
  readonly removeMountStubsRecursive: boolean;
  readonly validExitCodes: readonly number[];
  readonly platform: Platform;
  readonly tty?: boolean;
  /** Path of a user namespace to join, in which every user is the machine's. */
  readonly userNamespace?: string;
  /** Of its devices. */
  readonly edits?: ContainerEdits;
}

/** What a further process of a container has of its own; everything else is as for the first. */
export interface AdditionalProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** Empty: as the first process. */
  readonly user: string;
  readonly tty: boolean;
}

export interface ContainerMount {
  readonly source: string;
  readonly destination: string;
  readonly type: "bind" | "tmpfs";
  readonly options: readonly string[];
}

export interface LinuxResources {
  readonly memory: number;
  readonly memorySwap: number;
  readonly cpuShares: number;
  readonly cpuPeriod: number;
  readonly cpuQuota: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
}

export interface ProcessIo {
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Called in order; returning a promise applies back-pressure. */
  stdout(data: Uint8Array): void | Promise<void>;
  stderr(data: Uint8Array): void | Promise<void>;
  /** Called once, before any output. */
  onStarted?(control: ProcessControl): void;
}

/** Acts on a running process; does nothing once it has ended. */
export interface ProcessControl {
  /** @param signal number on Linux */
  signal(signal: number): void;
  /** Of its terminal, if it has one. */
  resize(size: TerminalSize): void;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** What the step cost. Zero where the kernel does not tell. */
export interface ExecUsage {
  readonly exitCode: number;
  readonly cpuNanos: number;
  readonly peakMemoryBytes: number;
  readonly wallMs: number;
}
