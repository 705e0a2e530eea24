import type { Resources } from "../core/values/resources.ts";
import type { FleetTlsConfig } from "./fleet-tls.ts";
import type { ListenConfig } from "./front-door-config.ts";
import type { GcRule } from "./gc-config.ts";
import type { LogConfig } from "./log-config.ts";
import type { NatsConfig } from "./nats-config.ts";
import type { RegistryConfigs } from "./registry-config.ts";

export type SnapshotterName = "auto" | "overlayfs" | "native";

/** What an agent needs, however it is reached: the same for `agent` and for the one inside `standalone`. */
export interface WorkerConfig {
  /** Directory that this process owns: layers, blobs, running steps, the agent's id. */
  readonly root: string;
  /** Steps, file operations and fetches of sources at the same time; 0 = no limit. */
  readonly maxParallelism: number;
  /** What steps may take of the machine together. */
  readonly capacity: Resources;
  readonly labels: Readonly<Record<string, string>>;
  /** `os/arch[/variant]`, native first; empty = find out (native and emulated). */
  readonly platforms: readonly string[];
  /** Where specs of devices are (CDI) and which devices every build may use; no directories = no devices. */
  readonly cdi: { readonly specDirs: readonly string[]; readonly autoAllowed: readonly string[] };
  readonly snapshotter: SnapshotterName;
  /** `auto`, a name (`runc`, `crun`) or an absolute path. */
  readonly ociBinary: string;
  /** Network of steps that ask for none in particular. */
  readonly networkMode: "auto" | "host" | "none";
  readonly dns: {
    readonly nameservers: readonly string[];
    readonly options: readonly string[];
    readonly searchDomains: readonly string[];
  };
  /** Parent of the cgroups of steps; empty = none. */
  readonly cgroupParent: string;
  readonly registries: RegistryConfigs;
  /** False turns automatic clean-up off. */
  readonly gcEnabled: boolean;
  /** In order; shares of the disk are worked out. */
  readonly gcRules: readonly GcRule[];
}

/** Everything `startAgent` needs. */
export interface AgentConfig extends WorkerConfig {
  readonly nats: NatsConfig;
  /** Serves layers to other agents. */
  readonly blobServer: ListenConfig;
  /** For the blob server, other agents' and the agent link; absent = plain. */
  readonly fleetTls?: FleetTlsConfig;
  /** `host:port` of a coordinator's agent link, only tried at the start; tasks name the one to use. */
  readonly coordinator?: string;
  /** Ends the process after this long without a task; undefined = never. */
  readonly idleExitMs?: number;
  /** From the signal to end until it leaves, whatever still runs. */
  readonly drainTimeoutMs: number;
  readonly log: LogConfig;
  readonly debug: boolean;
}
