/** One flag of `buildkitd` and the key of buildkitd.toml that says the same. */
export interface DaemonFlag {
  /** Shape of the value: a switch needs none, `labels` is `key=value`. */
  readonly kind: "switch" | "text" | "number" | "labels";
  /** Where the value goes in the configuration file; absent = nowhere. */
  readonly key?: readonly string[];
  /** May be given more than once; the values add up to a list. */
  readonly many?: boolean;
  /** The switch turns off what the key turns on. */
  readonly inverted?: boolean;
  /** Stands in when the flag is absent. */
  readonly env?: string;
  /** The values that are offered; any other is refused. */
  readonly only?: readonly string[];
  /** Why the flag has no effect here, for the warning. */
  readonly ignored?: string;
  readonly help: string;
}

const off = ["false", "0", "auto"];
const noContainerd = "there is no containerd worker";
const noCni = "networks of steps are not made by CNI plugins";

/** Every flag of cmd/buildkitd/main.go, main_oci_worker.go and main_containerd_worker.go for Linux. */
export const daemonFlags: Readonly<Record<string, DaemonFlag>> = {
  config: { kind: "text", help: "path to config file" },
  rootless: { kind: "switch", key: ["worker", "oci", "rootless"], help: "defaults for an unprivileged user" },
  debug: { kind: "switch", key: ["debug"], help: "enable debug output in logs" },
  trace: { kind: "switch", key: ["trace"], help: "enable trace output in logs" },
  root: { kind: "text", key: ["root"], help: "path to state directory" },
  addr: { kind: "text", key: ["grpc", "address"], many: true, help: "listening address (unix, tcp or fd)" },
  "log-format": { kind: "text", key: ["log", "format"], help: "json or text" },
  "log-level": { kind: "text", key: ["log", "level"], env: "BUILDKITD_LOG_LEVEL", help: "error, warn, info or debug" },
  group: { kind: "text", key: ["grpc", "gid"], help: "group (name or gid) of the listening unix sockets" },
  debugaddr: {
    kind: "text",
    key: ["grpc", "debugAddress"],
    env: "BUILDKITD_DEBUGADDR",
    help: "address of the debug server",
  },
  tlscert: { kind: "text", key: ["grpc", "tls", "cert"], help: "certificate file" },
  tlskey: { kind: "text", key: ["grpc", "tls", "key"], help: "key file" },
  tlscacert: { kind: "text", key: ["grpc", "tls", "ca"], help: "ca certificate to verify clients" },
  "allow-insecure-entitlement": {
    kind: "text",
    key: ["insecure-entitlements"],
    many: true,
    help: "allow network.host, security.insecure or device",
  },
  "proxy-network": { kind: "switch", only: off, help: "proxy network for all builds" },
  "otel-socket-path": { kind: "text", key: ["otel", "socketPath"], help: "socket of the trace collector" },
  "cdi-disabled": { kind: "switch", key: ["cdi", "disabled"], help: "no devices by CDI" },
  "cdi-spec-dir": { kind: "text", key: ["cdi", "specDirs"], many: true, help: "directories of CDI specs" },
  "save-cache-debug": { kind: "switch", ignored: "cache keys are not recorded", help: "record cache keys" },

  "oci-worker": { kind: "text", only: ["true", "1", "auto"], help: "enable the OCI worker" },
  "oci-worker-labels": { kind: "labels", key: ["worker", "oci", "labels"], help: "labels of the worker" },
  "oci-worker-snapshotter": { kind: "text", key: ["worker", "oci", "snapshotter"], help: "overlayfs, native or auto" },
  "oci-worker-proxy-snapshotter-path": { kind: "text", only: [""], help: "socket of a proxy snapshotter" },
  "oci-worker-platform": {
    kind: "text",
    key: ["worker", "oci", "platforms"],
    many: true,
    help: "platforms of the worker",
  },
  "oci-worker-net": { kind: "text", key: ["worker", "oci", "networkMode"], help: "network of steps" },
  "oci-cni-config-path": { kind: "text", ignored: noCni, help: "CNI config file" },
  "oci-cni-binary-dir": { kind: "text", ignored: noCni, help: "CNI plugins" },
  "oci-cni-pool-size": { kind: "number", ignored: noCni, help: "pool of network namespaces" },
  "oci-worker-binary": { kind: "text", key: ["worker", "oci", "binary"], help: "runc, crun or a path" },
  "oci-worker-apparmor-profile": { kind: "text", only: [""], help: "AppArmor profile of steps" },
  "oci-worker-selinux": { kind: "switch", only: off, help: "SELinux labels" },
  "oci-max-parallelism": { kind: "number", key: ["worker", "oci", "max-parallelism"], help: "steps at the same time" },
  "oci-worker-rootless": { kind: "switch", key: ["worker", "oci", "rootless"], help: "rootless mode" },
  "oci-worker-no-process-sandbox": { kind: "switch", only: off, help: "steps in the host's PID namespace" },
  "oci-worker-gc": { kind: "switch", key: ["worker", "oci", "gc"], help: "clean up the cache automatically" },
  "oci-worker-gc-keepstorage": {
    kind: "text",
    key: ["worker", "oci", "gckeepstorage"],
    help: "what clean-up keeps: reserved[,free[,maximum]] in MB",
  },

  "containerd-worker": { kind: "text", only: off, help: "containerd worker" },
  "containerd-worker-addr": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-labels": { kind: "labels", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-net": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-cni-config-path": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-cni-binary-dir": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-cni-pool-size": { kind: "number", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-snapshotter": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-apparmor-profile": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-selinux": { kind: "switch", ignored: noContainerd, help: "containerd worker" },
  "containerd-max-parallelism": { kind: "number", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-rootless": { kind: "switch", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-gc": { kind: "switch", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-gc-keepstorage": { kind: "text", ignored: noContainerd, help: "containerd worker" },
};
