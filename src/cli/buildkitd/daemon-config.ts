import { availableParallelism } from "node:os";
import type { RegistryConfigs, StandaloneConfig } from "../../config/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { TomlTable } from "./parse-flags.ts";

/** The settings of the daemon as a buildkitd.toml document and flags give them, the rest by default. */
export function daemonConfig(document: TomlTable): StandaloneConfig {
  const worker = table(table(document["worker"])["oci"]);
  const grpc = table(document["grpc"]);
  const tls = table(grpc["tls"]);
  const dns = table(document["dns"]);
  const debug = document["debug"] === true;
  const parallel = worker["max-parallelism"];
  const group = grpc["gid"];
  return {
    root: text(document["root"]) || "/var/lib/buildkit",
    addresses: texts(grpc["address"], ["unix:///run/buildkit/buildkitd.sock"]),
    insecureEntitlements: texts(document["insecure-entitlements"], []),
    maxMessageBytes: 16 << 20,
    ...(tls["cert"] === undefined || tls["key"] === undefined
      ? {}
      : {
          tls: {
            cert: text(tls["cert"]),
            key: text(tls["key"]),
            ...(tls["ca"] === undefined ? {} : { ca: text(tls["ca"]) }),
          },
        }),
    ...(group === undefined ? {} : { socketGroup: String(group) }),
    slots: typeof parallel === "number" && parallel > 0 ? parallel : Math.max(4, availableParallelism()),
    labels: table(worker["labels"]) as Record<string, string>,
    platforms: texts(worker["platforms"], []),
    snapshotter: snapshotter(text(worker["snapshotter"])),
    ociBinary: text(worker["binary"]) || "auto",
    networkMode: network(text(worker["networkMode"])),
    dns: {
      nameservers: texts(dns["nameservers"], []),
      options: texts(dns["options"], []),
      searchDomains: texts(dns["searchDomains"], []),
    },
    cgroupParent: text(worker["defaultCgroupParent"]),
    registries: table(document["registry"]) as RegistryConfigs,
    gcEnabled: worker["gc"] !== false,
    gcRules: [],
    log: {
      level: debug ? "debug" : "info",
      format: text(table(document["log"])["format"]) === "json" ? "json" : "text",
    },
    debug,
  };
}

function snapshotter(name: string): StandaloneConfig["snapshotter"] {
  if (name === "" || name === "auto") return "auto";
  if (name === "overlayfs" || name === "native") return name;
  throw new BuildError(Code.Unimplemented, `snapshotter ${JSON.stringify(name)} is not supported`);
}

function network(mode: string): StandaloneConfig["networkMode"] {
  if (mode === "" || mode === "auto") return "auto";
  if (mode === "host" || mode === "none") return mode;
  throw new BuildError(Code.Unimplemented, `network mode ${JSON.stringify(mode)} is not supported`);
}

function table(value: unknown): TomlTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as TomlTable) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function texts(value: unknown, fallback: readonly string[]): readonly string[] {
  return Array.isArray(value) ? value.map(String) : fallback;
}
