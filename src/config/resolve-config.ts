import { statfsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism, homedir, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Resources } from "../core/values/resources.ts";
import type { AgentConfig, SnapshotterName, WorkerConfig } from "./agent-config.ts";
import { type FileSettings, parseBuildkitdToml } from "./buildkitd-toml.ts";
import { ConfigError } from "./config-error.ts";
import type { CoordinatorConfig } from "./coordinator-config.ts";
import type {
  AgentFlags,
  CoordinatorFlags,
  DaemonFlags,
  FrontDoorFlags,
  NatsFlags,
  StandaloneFlags,
  WorkerFlags,
} from "./daemon-flags.ts";
import { plainListenWarnings, resolveFleetTls } from "./fleet-tls.ts";
import type { FrontDoorConfig, ListenConfig } from "./front-door-config.ts";
import { resolveGcRules } from "./gc-rules.ts";
import { type LogConfig, logFormats, logLevels } from "./log-config.ts";
import type { NatsConfig } from "./nats-config.ts";
import { parseDurationMs } from "./quantities.ts";
import type { StandaloneConfig } from "./standalone-config.ts";

/** A configuration, and what the log should say about it once there is one. */
export interface Resolved<T> {
  readonly config: T;
  readonly warnings: readonly string[];
}

const defaultMaxMessageBytes = 16 << 20;
/** Less than service managers wait for an agent: see deploy/. */
const defaultDrainTimeoutMs = 600_000;
const defaultNatsUrl = "nats://127.0.0.1:4222";

/** Flags over file over defaults. @throws ConfigError */
export async function resolveCoordinator(
  flags: CoordinatorFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Resolved<CoordinatorConfig>> {
  const { settings, warnings } = await readFileSettings(flags, env);
  const agentLink = listenConfig("--agent-link", flags.agentLink ?? "127.0.0.1:0", flags.agentLinkAdvertise);
  const fleetTls = resolveFleetTls(flags);
  return {
    warnings: [...warnings, ...plainListenWarnings("--agent-link", agentLink, fleetTls)],
    config: {
      ...frontDoor(flags, settings, env),
      ...logging(flags, settings, env),
      nats: nats(flags, env),
      agentLink,
      ...(fleetTls === undefined ? {} : { fleetTls }),
      stateDir: rootDirectory(flags, settings, env, "buildfleet-coordinator"),
      registries: settings.registries ?? {},
    },
  };
}

/** Flags over file over defaults. @throws ConfigError */
export async function resolveAgent(
  flags: AgentFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Resolved<AgentConfig>> {
  const { settings, warnings } = await readFileSettings(flags, env);
  const idleExitMs = duration("--idle-exit", flags.idleExit);
  const blobServer = listenConfig("--blob-server", flags.blobServer ?? "127.0.0.1:0", flags.blobServerAdvertise);
  const fleetTls = resolveFleetTls(flags);
  return {
    warnings: [...warnings, ...plainListenWarnings("--blob-server", blobServer, fleetTls)],
    config: {
      ...worker(flags, settings, rootDirectory(flags, settings, env, "buildfleet-agent")),
      ...logging(flags, settings, env),
      nats: nats(flags, env),
      blobServer,
      ...(fleetTls === undefined ? {} : { fleetTls }),
      ...(flags.coordinator === undefined ? {} : { coordinator: flags.coordinator }),
      ...(idleExitMs === undefined ? {} : { idleExitMs }),
      drainTimeoutMs: duration("--drain-timeout", flags.drainTimeout) ?? defaultDrainTimeoutMs,
    },
  };
}

/** Flags over file over defaults. @throws ConfigError */
export async function resolveStandalone(
  flags: StandaloneFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Resolved<StandaloneConfig>> {
  const { settings, warnings } = await readFileSettings(flags, env);
  return {
    warnings,
    config: {
      ...frontDoor(flags, settings, env),
      ...worker(flags, settings, rootDirectory(flags, settings, env, "buildfleet")),
      ...logging(flags, settings, env),
    },
  };
}

/** The file named by `--config` must exist, the default one need not. */
async function readFileSettings(flags: DaemonFlags, env: NodeJS.ProcessEnv) {
  const path =
    flags.config ??
    (isRoot()
      ? "/etc/buildkit/buildkitd.toml"
      : join(env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "buildkit/buildkitd.toml"));
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (flags.config === undefined && (error as NodeJS.ErrnoException).code === "ENOENT") {
      return { settings: {} as FileSettings, warnings: [] };
    }
    throw new ConfigError(`cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    const { settings, warnings } = parseBuildkitdToml(text);
    return { settings, warnings: warnings.map((warning) => `${path}: ${warning}`) };
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(`${path}: ${error.message}`) : error;
  }
}

function frontDoor(
  flags: DaemonFlags & FrontDoorFlags,
  settings: FileSettings,
  env: NodeJS.ProcessEnv,
): FrontDoorConfig {
  const cert = flags.tlscert ?? settings.tls?.cert;
  const key = flags.tlskey ?? settings.tls?.key;
  const ca = flags.tlscacert ?? settings.tls?.ca;
  if ((cert === undefined) !== (key === undefined)) {
    throw new ConfigError("a certificate needs its key and a key its certificate: give both --tlscert and --tlskey");
  }
  if (ca !== undefined && cert === undefined) throw new ConfigError("--tlscacert needs --tlscert and --tlskey");
  const group = flags.group ?? settings.gid?.toString();
  const metricsListen = flags.metricsAddr ?? settings.debugAddress;
  const keepFailedMs = duration("--keep-failed", flags.keepFailed);
  return {
    addresses: flags.addr ?? settings.addresses ?? [defaultSocket(env)],
    insecureEntitlements: [
      ...(flags.allowInsecureEntitlement ?? settings.insecureEntitlements ?? []),
      ...(cdiDisabled(flags, settings) ? [] : ["device"]),
    ],
    maxMessageBytes: settings.maxMessageBytes ?? defaultMaxMessageBytes,
    ...(settings.disabledFrontends === undefined ? {} : { disabledFrontends: settings.disabledFrontends }),
    ...(settings.frontendRepositories === undefined ? {} : { frontendRepositories: settings.frontendRepositories }),
    ...(cert === undefined || key === undefined ? {} : { tls: { cert, key, ...(ca === undefined ? {} : { ca }) } }),
    ...(group === undefined ? {} : { socketGroup: group }),
    ...(metricsListen === undefined ? {} : { metricsListen }),
    ...(keepFailedMs === undefined ? {} : { keepFailedMs }),
    ...(flags.keepFailedSteps === undefined ? {} : { keepFailedSteps: flags.keepFailedSteps }),
    ...(settings.history === undefined ? {} : { history: settings.history }),
    ...(settings.provenanceEnvDir === undefined ? {} : { provenanceEnvDir: settings.provenanceEnvDir }),
  };
}

function duration(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new ConfigError(`${flag} must be a time such as 10m, not ${JSON.stringify(text)}`);
  return ms;
}

function worker(flags: DaemonFlags & WorkerFlags, settings: FileSettings, root: string): WorkerConfig {
  const maxParallelism = flags.maxParallelism ?? settings.maxParallelism ?? 0;
  return {
    root,
    capacity: capacity(flags.slots ?? maxParallelism),
    maxParallelism: Math.max(0, maxParallelism),
    labels: { ...settings.labels, ...labels(flags.label ?? []) },
    platforms: flags.platform?.flatMap((text) => text.split(",")) ?? settings.platforms ?? [],
    cdi: {
      specDirs: cdiDisabled(flags, settings) ? [] : (flags.cdiSpecDir ?? settings.cdi?.specDirs ?? defaultSpecDirs),
      autoAllowed: settings.cdi?.autoAllowed ?? [],
    },
    snapshotter: snapshotter(flags.snapshotter ?? settings.snapshotter ?? "auto"),
    ociBinary: flags.ociBinary ?? (settings.ociBinary || "auto"),
    networkMode: networkMode(flags.net ?? settings.networkMode ?? "auto"),
    dns: settings.dns ?? { nameservers: [], options: [], searchDomains: [] },
    cgroupParent: settings.cgroupParent ?? "",
    registries: settings.registries ?? {},
    gcEnabled: flags.gc ?? settings.gc ?? true,
    gcRules: resolveGcRules(settings, diskBytes(root)),
  };
}

const defaultSpecDirs = ["/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"];

function cdiDisabled(flags: DaemonFlags, settings: FileSettings): boolean {
  return flags.cdiDisabled ?? settings.cdi?.disabled ?? false;
}

/** Steps that mostly wait leave their core to others: by default the cores decide how many run, and slots hardly do. */
const slotsPerCore = 4;

/** @param slots 0 for the default */
function capacity(slots: number): Resources {
  const cores = availableParallelism();
  return {
    slots: slots > 0 ? slots : cores * slotsPerCore,
    cpu: Math.max(cores, slots),
    memoryBytes: Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem()),
  };
}

function labels(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf("=");
      if (equals < 1) throw new ConfigError(`--label must be key=value, not ${JSON.stringify(text)}`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

function snapshotter(name: string): SnapshotterName {
  if (name === "auto" || name === "overlayfs" || name === "native") return name;
  throw new ConfigError(`snapshotter ${JSON.stringify(name)} is not supported: expected auto, overlayfs or native`);
}

function networkMode(name: string): WorkerConfig["networkMode"] {
  if (name === "auto" || name === "host" || name === "none") return name;
  throw new ConfigError(`network mode ${JSON.stringify(name)} is not supported: expected auto, host or none`);
}

function nats(flags: NatsFlags, env: NodeJS.ProcessEnv): NatsConfig {
  const { natsCreds, natsToken, natsTlsca, natsTlscert, natsTlskey } = flags;
  const token = natsToken ?? (env["NATS_TOKEN"] || undefined);
  const tls = {
    ...(natsTlsca === undefined ? {} : { ca: natsTlsca }),
    ...(natsTlscert === undefined ? {} : { cert: natsTlscert }),
    ...(natsTlskey === undefined ? {} : { key: natsTlskey }),
  };
  const urls = flags.nats ?? [env["NATS_URL"] || defaultNatsUrl];
  return {
    urls: urls.flatMap((text) => text.split(",")),
    ...(natsCreds === undefined ? {} : { credentialsFile: natsCreds }),
    ...(token === undefined ? {} : { token }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

function listenConfig(flag: string, listen: string, advertise: string | undefined): ListenConfig {
  for (const address of [listen, advertise]) {
    if (address !== undefined && !/^(\[[^\]]+\]|[^:]*):\d+$/.test(address)) {
      throw new ConfigError(`${flag} must be host:port, not ${JSON.stringify(address)}`);
    }
  }
  return { listen, ...(advertise === undefined ? {} : { advertise }) };
}

function logging(
  flags: DaemonFlags,
  settings: FileSettings,
  env: NodeJS.ProcessEnv,
): { log: LogConfig; debug: boolean } {
  const debug = flags.debug ?? settings.debug ?? false;
  const level = flags.logLevel ?? (env["BUILDKITD_LOG_LEVEL"] || settings.logLevel) ?? "info";
  const format = flags.logFormat ?? settings.logFormat ?? "text";
  const knownLevel = logLevels.find((name) => name === level);
  const knownFormat = logFormats.find((name) => name === format);
  if (knownLevel === undefined)
    throw new ConfigError(`unknown log level ${JSON.stringify(level)}: expected ${logLevels.join(", ")}`);
  if (knownFormat === undefined)
    throw new ConfigError(`unknown log format ${JSON.stringify(format)}: expected text or json`);
  return { log: { level: debug ? "debug" : knownLevel, format: knownFormat }, debug };
}

function rootDirectory(flags: DaemonFlags, settings: FileSettings, env: NodeJS.ProcessEnv, name: string): string {
  const data = isRoot() ? "/var/lib" : env["XDG_DATA_HOME"] || join(homedir(), ".local/share");
  return resolve(flags.root ?? settings.root ?? join(data, name));
}

function defaultSocket(env: NodeJS.ProcessEnv): string {
  const run = isRoot() ? "/run" : env["XDG_RUNTIME_DIR"] || `/run/user/${process.getuid?.() ?? 0}`;
  return `unix://${run}/buildkit/buildkitd.sock`;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Size of the disk that a directory is on, or will be. */
function diskBytes(directory: string): number {
  for (let path = directory; ; path = dirname(path)) {
    try {
      const { blocks, bsize } = statfsSync(path);
      return blocks * bsize;
    } catch {
      if (path === dirname(path)) return 0;
    }
  }
}
