import { fileURLToPath } from "node:url";
import type { AgentConfig, CoordinatorConfig, StandaloneConfig, WorkerConfig } from "../../src/config/index.ts";
import { Service } from "./service.ts";

const entry = fileURLToPath(new URL("./daemon-entry.ts", import.meta.url));

/** What one of our daemons is started with. */
export type DaemonConfig =
  | ({ readonly kind: "standalone" } & StandaloneConfig)
  | ({ readonly kind: "coordinator" } & CoordinatorConfig)
  | ({ readonly kind: "agent" } & AgentConfig);

/** Starts one of our daemons as a process. `BENCH_NODE_OPTIONS` go to its node: profilers. */
export async function startDaemon(config: DaemonConfig, logFile: string): Promise<Service> {
  const extra = (process.env["BENCH_NODE_OPTIONS"] ?? "").split(" ").filter((option) => option !== "");
  return Service.start({
    command: process.execPath,
    args: [...extra, entry],
    logFile,
    input: `${JSON.stringify(config)}\n`,
    ready: (log) => log.includes("\nready\n") || log.startsWith("ready\n"),
  });
}

/** Settings of agents and of standalone that no case changes. */
export const workerDefaults: Omit<WorkerConfig, "root" | "capacity"> = {
  maxParallelism: 0,
  labels: {},
  platforms: [],
  cdi: { specDirs: [], autoAllowed: [] },
  snapshotter: "auto",
  ociBinary: "auto",
  networkMode: "auto",
  dns: { nameservers: [], options: [], searchDomains: [] },
  cgroupParent: "",
  registries: {},
  gcEnabled: false,
  gcRules: [],
};

export const frontDoorDefaults = { insecureEntitlements: [], maxMessageBytes: 16 << 20 };

/** No log but what went wrong, as the peer is run. */
export const quiet = { log: { level: "warn", format: "text" }, debug: false } as const;
