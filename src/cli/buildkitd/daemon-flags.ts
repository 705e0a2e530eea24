import type { StandaloneFlags } from "../../config/index.ts";

/** One flag of `buildkitd` and the flag of our daemon that says the same. */
export interface DaemonFlag {
  /** Shape of the value; a switch needs none. */
  readonly kind: "switch" | "text" | "number";
  /** The flag of `buildfleet standalone`; absent = none. */
  readonly means?: keyof StandaloneFlags;
  /** May be given more than once; the values add up to a list. */
  readonly many?: boolean;
  /** The values that are offered; any other is refused. */
  readonly only?: readonly string[];
  /** Why the flag has no effect here, for the warning. */
  readonly ignored?: string;
  readonly help: string;
}

const off = ["false", "0", "auto"];
const byUser = "the defaults follow the user who runs it";
const noContainerd = "there is no containerd worker";
const noCni = "networks of steps are not made by CNI plugins";

/** Every flag of cmd/buildkitd/main.go, main_oci_worker.go and main_containerd_worker.go for Linux. */
export const daemonFlags: Readonly<Record<string, DaemonFlag>> = {
  config: { kind: "text", means: "config", help: "path to config file" },
  rootless: { kind: "switch", ignored: byUser, help: "defaults for an unprivileged user" },
  debug: { kind: "switch", means: "debug", help: "enable debug output in logs" },
  trace: { kind: "switch", means: "debug", help: "enable trace output in logs" },
  root: { kind: "text", means: "root", help: "path to state directory" },
  addr: { kind: "text", means: "addr", many: true, help: "listening address (unix, tcp or fd)" },
  "log-format": { kind: "text", means: "logFormat", help: "json or text" },
  "log-level": { kind: "text", means: "logLevel", help: "error, warn, info or debug" },
  group: { kind: "text", means: "group", help: "group (name or gid) of the listening unix sockets" },
  debugaddr: {
    kind: "text",
    means: "metricsAddr",
    help: "address of the debug server: /metrics, /healthz",
  },
  tlscert: { kind: "text", means: "tlscert", help: "certificate file" },
  tlskey: { kind: "text", means: "tlskey", help: "key file" },
  tlscacert: { kind: "text", means: "tlscacert", help: "ca certificate to verify clients" },
  "allow-insecure-entitlement": {
    kind: "text",
    means: "allowInsecureEntitlement",
    many: true,
    help: "allow network.host, security.insecure or device",
  },
  "proxy-network": { kind: "switch", only: off, help: "proxy network for all builds" },
  "otel-socket-path": {
    kind: "text",
    ignored: "traces are sent by OTEL_EXPORTER_OTLP_ENDPOINT alone",
    help: "socket of the trace collector",
  },
  "cdi-disabled": { kind: "switch", means: "cdiDisabled", help: "no devices by CDI" },
  "cdi-spec-dir": { kind: "text", means: "cdiSpecDir", many: true, help: "directories of CDI specs" },
  "save-cache-debug": { kind: "switch", ignored: "cache keys are not recorded", help: "record cache keys" },

  "oci-worker": { kind: "text", only: ["true", "1", "auto"], help: "enable the OCI worker" },
  "oci-worker-labels": { kind: "text", many: true, means: "label", help: "labels of the worker" },
  "oci-worker-snapshotter": { kind: "text", means: "snapshotter", help: "overlayfs, native or auto" },
  "oci-worker-proxy-snapshotter-path": { kind: "text", only: [""], help: "socket of a proxy snapshotter" },
  "oci-worker-platform": {
    kind: "text",
    means: "platform",
    many: true,
    help: "platforms of the worker",
  },
  "oci-worker-net": { kind: "text", means: "net", help: "network of steps" },
  "oci-cni-config-path": { kind: "text", ignored: noCni, help: "CNI config file" },
  "oci-cni-binary-dir": { kind: "text", ignored: noCni, help: "CNI plugins" },
  "oci-cni-pool-size": { kind: "number", ignored: noCni, help: "pool of network namespaces" },
  "oci-worker-binary": { kind: "text", means: "ociBinary", help: "runc, crun or a path" },
  "oci-worker-apparmor-profile": { kind: "text", only: [""], help: "AppArmor profile of steps" },
  "oci-worker-selinux": { kind: "switch", only: off, help: "SELinux labels" },
  "oci-max-parallelism": {
    kind: "number",
    means: "maxParallelism",
    help: "steps, file operations and sources at the same time, or num-cpu",
  },
  "oci-worker-rootless": { kind: "switch", ignored: byUser, help: "rootless mode" },
  "oci-worker-no-process-sandbox": { kind: "switch", only: off, help: "steps in the host's PID namespace" },
  "oci-worker-gc": { kind: "switch", means: "gc", help: "clean up the cache automatically" },
  "oci-worker-gc-keepstorage": {
    kind: "text",
    ignored: "reservedSpace, maxUsedSpace and minFreeSpace of the configuration file say what is kept",
    help: "what clean-up keeps: reserved[,free[,maximum]] in MB",
  },

  "containerd-worker": { kind: "text", only: off, help: "containerd worker" },
  "containerd-worker-addr": { kind: "text", ignored: noContainerd, help: "containerd worker" },
  "containerd-worker-labels": { kind: "text", ignored: noContainerd, help: "containerd worker" },
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
