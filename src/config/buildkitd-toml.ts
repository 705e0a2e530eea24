import { parse, TomlError } from "smol-toml";
import { ConfigError } from "./config-error.ts";
import type { HistoryLimits } from "./history-limits.ts";
import { type LogFormat, type LogLevel, logFormats } from "./log-config.ts";
import type { DiskSpace } from "./quantities.ts";
import type { RegistryConfig, RegistryConfigs } from "./registry-config.ts";
import { TomlTable } from "./toml-table.ts";

/** A clean-up rule as written; shares of the disk are not worked out yet. */
export interface GcRuleSettings {
  readonly all: boolean;
  readonly filters: readonly string[];
  readonly keepDurationMs: number;
  readonly reservedSpace: DiskSpace;
  readonly maxUsedSpace: DiskSpace;
  readonly minFreeSpace: DiskSpace;
}

/** What a buildkitd.toml says, as far as we follow it; absent keys are undefined. */
export interface FileSettings {
  readonly root?: string;
  readonly debug?: boolean;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  readonly insecureEntitlements?: readonly string[];
  readonly addresses?: readonly string[];
  readonly tls?: { readonly cert?: string; readonly key?: string; readonly ca?: string };
  readonly gid?: number;
  readonly maxMessageBytes?: number;
  readonly dns?: {
    readonly nameservers: readonly string[];
    readonly options: readonly string[];
    readonly searchDomains: readonly string[];
  };
  readonly labels?: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly cdi?: {
    readonly disabled?: boolean;
    readonly specDirs?: readonly string[];
    readonly autoAllowed?: readonly string[];
  };
  readonly snapshotter?: string;
  readonly ociBinary?: string;
  readonly networkMode?: string;
  readonly maxParallelism?: number;
  readonly cgroupParent?: string;
  readonly gc?: boolean;
  readonly reservedSpace?: DiskSpace;
  readonly maxUsedSpace?: DiskSpace;
  readonly minFreeSpace?: DiskSpace;
  readonly gcRules?: readonly GcRuleSettings[];
  readonly registries?: RegistryConfigs;
  readonly disabledFrontends?: readonly string[];
  /** Repositories frontend images may come from. */
  readonly frontendRepositories?: readonly string[];
  readonly debugAddress?: string;
  readonly provenanceEnvDir?: string;
  readonly history?: HistoryLimits;
}

export interface ParsedFile {
  readonly settings: FileSettings;
  /** One sentence each: keys we do not know, and keys we know but do not follow. */
  readonly warnings: readonly string[];
}

/**
 * Reads the text of a buildkitd.toml (BuildKit docs/buildkitd.toml.md, cmd/buildkitd/config/config.go).
 * @throws ConfigError naming the key for values of the wrong type, or line and column for text that is no TOML
 */
export function parseBuildkitdToml(text: string): ParsedFile {
  let root: TomlTable;
  try {
    root = new TomlTable(parse(text));
  } catch (error) {
    if (error instanceof TomlError) throw new ConfigError(`line ${error.line}: ${firstSentence(error.message)}`);
    throw error;
  }
  const unsupported: string[] = [];
  const settings = defined({
    ...generalSettings(root, unsupported),
    ...workerSettings(root.table("worker"), unsupported),
    registries: registrySettings(root),
    ...frontendSettings(root.table("frontend")),
    history: historyLimits(root),
  });
  const warnings = [
    ...unsupported.map((path) => `${path} is not supported and has no effect`),
    ...root.unread().map((path) => `unknown key ${path}`),
  ];
  return { settings, warnings };
}

function generalSettings(root: TomlTable, unsupported: string[]) {
  const log = root.table("log");
  const grpc = root.table("grpc");
  const tls = grpc.table("tls");
  const dns = root.table("dns");
  const cdi = root.table("cdi");
  unsupported.push(
    ...root.takeUnsupported("proxyNetwork", "system", "cache", "otel"),
    ...grpc.takeUnsupported("uid", "securityDescriptor", "max_send_message_size"),
  );
  return {
    root: root.string("root"),
    debug: root.boolean("debug") || root.boolean("trace") || undefined,
    insecureEntitlements: root.strings("insecure-entitlements"),
    debugAddress: grpc.string("debugAddress") || undefined,
    provenanceEnvDir: root.string("provenanceEnvDir") || undefined,
    logFormat: log.choice("format", logFormats),
    logLevel: logLevel(log),
    addresses: grpc.strings("address"),
    gid: grpc.integer("gid"),
    maxMessageBytes: grpc.integer("max_recv_message_size"),
    tls: defined({ cert: tls.string("cert"), key: tls.string("key"), ca: tls.string("ca") }),
    cdi: defined({
      disabled: cdi.boolean("disabled"),
      specDirs: cdi.strings("specDirs"),
      autoAllowed: cdi.strings("autoAllowed"),
    }),
    dns: {
      nameservers: dns.strings("nameservers") ?? [],
      options: dns.strings("options") ?? [],
      searchDomains: dns.strings("searchDomains") ?? [],
    },
  };
}

/** logrus knows more levels than we do. */
function logLevel(log: TomlTable): LogLevel | undefined {
  const names = ["trace", "debug", "info", "warning", "warn", "error", "fatal", "panic"] as const;
  const level = log.choice("level", names);
  switch (level) {
    case "trace":
      return "debug";
    case "warning":
      return "warn";
    case "fatal":
    case "panic":
      return "error";
    default:
      return level;
  }
}

function workerSettings(worker: TomlTable, unsupported: string[]) {
  const oci = worker.table("oci");
  unsupported.push(
    ...worker.takeUnsupported("containerd"),
    ...oci.takeUnsupported(
      "enabled",
      "rootless",
      "noProcessSandbox",
      "cniConfigPath",
      "cniBinaryPath",
      "cniPoolSize",
      "bridgeName",
      "bridgeSubnet",
      "userRemapUnsupported",
      "proxySnapshotterPath",
      "stargzSnapshotter",
      "apparmor-profile",
      "selinux",
    ),
  );
  const keepStorage = oci.diskSpace("gckeepstorage");
  return {
    labels: oci.stringMap("labels"),
    platforms: oci.strings("platforms"),
    snapshotter: oci.string("snapshotter"),
    ociBinary: oci.string("binary"),
    networkMode: oci.string("networkMode"),
    maxParallelism: oci.integer("max-parallelism"),
    cgroupParent: oci.string("defaultCgroupParent"),
    gc: oci.boolean("gc"),
    reservedSpace: oci.diskSpace("reservedSpace") ?? keepStorage,
    maxUsedSpace: oci.diskSpace("maxUsedSpace"),
    minFreeSpace: oci.diskSpace("minFreeSpace"),
    gcRules: gcRules(oci),
  };
}

function gcRules(oci: TomlTable): readonly GcRuleSettings[] | undefined {
  const none = { bytes: 0 };
  const rules = oci.list("gcpolicy").map((rule) => {
    const keepBytes = rule.diskSpace("keepBytes");
    return {
      all: rule.boolean("all") ?? false,
      filters: rule.strings("filters") ?? [],
      keepDurationMs: rule.durationMs("keepDuration") ?? 0,
      reservedSpace: rule.diskSpace("reservedSpace") ?? keepBytes ?? none,
      maxUsedSpace: rule.diskSpace("maxUsedSpace") ?? none,
      minFreeSpace: rule.diskSpace("minFreeSpace") ?? none,
    };
  });
  return rules.length === 0 ? undefined : rules;
}

function frontendSettings(frontend: TomlTable) {
  const gateway = frontend.table("gateway.v0");
  const tables = { "dockerfile.v0": frontend.table("dockerfile.v0"), "gateway.v0": gateway };
  const disabled = Object.entries(tables).flatMap(([name, table]) =>
    table.boolean("enabled") === false ? [name] : [],
  );
  return {
    disabledFrontends: disabled.length === 0 ? undefined : disabled,
    frontendRepositories: gateway.strings("allowedRepositories"),
  };
}

/** A table without one of the two keys sets that to nothing, as in BuildKit. */
function historyLimits(root: TomlTable): HistoryLimits | undefined {
  if (!root.has("history")) return undefined;
  const table = root.table("history");
  return { maxAgeMs: table.durationMs("maxAge") ?? 0, maxEntries: Math.max(0, table.integer("maxEntries") ?? 0) };
}

function registrySettings(root: TomlTable): RegistryConfigs {
  return Object.fromEntries(
    root.tables("registry").map(([host, table]): [string, RegistryConfig] => [
      host,
      defined({
        mirrors: table.strings("mirrors"),
        http: table.boolean("http"),
        insecure: table.boolean("insecure"),
        ca: table.strings("ca"),
        tlsconfigdir: table.strings("tlsconfigdir"),
        keypair: keyPairs(host, table),
      }),
    ]),
  );
}

function keyPairs(host: string, table: TomlTable): RegistryConfig["keypair"] {
  const pairs = table.list("keypair").map((pair) => {
    const key = pair.string("key");
    const cert = pair.string("cert");
    if (key === undefined || cert === undefined) {
      throw new ConfigError(`registry.${JSON.stringify(host)}.keypair needs both key and cert`);
    }
    return { key, cert };
  });
  return pairs.length === 0 ? undefined : pairs;
}

/** Leaves undefined properties out. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** smol-toml adds an excerpt below its message. */
function firstSentence(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/^Invalid TOML document: /, "");
}
