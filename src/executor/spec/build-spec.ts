import { posix } from "node:path";
import type { ContainerProcess, LinuxResources } from "../../core/seams/executor.ts";
import { applyEdits } from "./apply-edits.ts";
import { defaultCapabilities, ownCapabilities } from "./capabilities.ts";
import { insecureDevices } from "./insecure.ts";
import type { OciMount, OciProcess, OciResources, OciSpec } from "./oci-spec.ts";
import { defaultSeccomp } from "./seccomp.ts";

/** What the executor has found out or made for one container. */
export interface SpecContext {
  readonly user: OciProcess["user"];
  /** Host files shown as /etc/resolv.conf and /etc/hosts. */
  readonly resolvConf: string;
  readonly hosts: string;
  /** `host`: the agent's network. `empty`: a namespace with loopback only. */
  readonly network: "host" | "empty";
  readonly cgroupsPath: string;
  /** True with cgroup v2 alone; v1 and hybrid cannot have the namespace. */
  readonly cgroupNamespace: boolean;
  readonly seccomp: boolean;
  /** Go's name of the machine. */
  readonly architecture: string;
  readonly oomScoreAdj?: number;
}

export const defaultHostname = "buildkitsandbox";

/** The container of one step, as BuildKit makes it (executor/oci/spec.go, spec_linux.go; containerd pkg/oci/spec.go). */
export function buildSpec(container: ContainerProcess, context: SpecContext): OciSpec {
  const insecure = container.security === "insecure";
  const capabilities = insecure ? [...new Set([...defaultCapabilities, ...ownCapabilities()])] : defaultCapabilities;
  const namespaces = ["pid", "ipc", "uts", "mount"];
  if (context.network === "empty") namespaces.push("network");
  if (context.cgroupNamespace) namespaces.push("cgroup");
  const { userNamespace } = container;
  const spec: OciSpec = {
    ociVersion: "1.0.2",
    process: {
      terminal: container.tty ?? false,
      user: context.user,
      args: container.args,
      env: mergeEnvironment([...container.env, ...(container.edits?.env ?? [])]),
      cwd: container.cwd,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        ...(insecure ? { inheritable: capabilities, ambient: capabilities } : {}),
      },
      ...(container.ulimits.length === 0 ? {} : { rlimits: container.ulimits.map(toRlimit) }),
      noNewPrivileges: false,
      ...(context.oomScoreAdj === undefined ? {} : { oomScoreAdj: context.oomScoreAdj }),
    },
    root: { path: container.rootfs, ...(container.rootReadonly ? { readonly: true } : {}) },
    hostname: container.hostname === "" ? defaultHostname : container.hostname,
    mounts: [
      ...systemMounts(insecure),
      // A user namespace may not mount the sysfs of a network that is not its own.
      ...(userNamespace !== undefined && context.network === "host" ? [hostSysfs] : []),
      hostFile(context.resolvConf, "/etc/resolv.conf"),
      hostFile(context.hosts, "/etc/hosts"),
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: writable(["nosuid", "noexec", "nodev"], insecure),
      },
    ],
    linux: {
      namespaces: [
        ...namespaces.map((type) => ({ type })),
        ...(userNamespace === undefined ? [] : [{ type: "user", path: userNamespace }]),
      ],
      ...(userNamespace === undefined ? {} : { uidMappings: identityMapping, gidMappings: identityMapping }),
      cgroupsPath: context.cgroupsPath,
      resources: resources(container.resources, insecure),
      ...(insecure ? { devices: insecureDevices() } : {}),
      maskedPaths: insecure ? [] : maskedPaths,
      readonlyPaths: insecure ? [] : readonlyPaths,
      ...(insecure || !context.seccomp ? {} : { seccomp: defaultSeccomp(capabilities, context.architecture) }),
    },
  };
  const edited = container.edits === undefined ? spec : applyEdits(spec, container.edits);
  const mounts = container.mounts.map((mount) => ({ ...mount, destination: posix.resolve("/", mount.destination) }));
  return { ...edited, mounts: dedupe([...edited.mounts, ...mounts]) };
}

/** Said again for runc before 1.2, which does not ask the namespace. */
const identityMapping = [{ containerID: 0, hostID: 0, size: 4294967295 }];

const hostSysfs: OciMount = {
  destination: "/sys",
  type: "bind",
  source: "/sys",
  options: ["nosuid", "noexec", "nodev", "rbind", "ro"],
};

const maskedPaths = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
  "/proc/scsi",
];

const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** No tmpfs on /run: what an image has there stays visible. */
function systemMounts(insecure: boolean): OciMount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: writable(["nosuid", "noexec", "nodev"], insecure) },
  ];
}

function writable(options: readonly string[], insecure: boolean): string[] {
  return [...options, insecure ? "rw" : "ro"];
}

function hostFile(source: string, destination: string): OciMount {
  return { destination, type: "bind", source, options: ["nosuid", "noexec", "nodev", "rbind", "ro"] };
}

/** The later mount of two on one destination wins, at the earlier one's place. */
function dedupe(mounts: readonly OciMount[]): OciMount[] {
  return [...new Map(mounts.map((mount) => [mount.destination, mount])).values()];
}

/** Later values replace earlier ones in place; an entry without `=` is dropped. */
export function mergeEnvironment(env: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const entry of env) {
    const at = entry.indexOf("=");
    if (at >= 0) merged.set(entry.slice(0, at), entry);
  }
  return [...merged.values()];
}

function toRlimit(limit: { readonly name: string; readonly soft: number; readonly hard: number }) {
  return { type: `RLIMIT_${limit.name.toUpperCase()}`, soft: limit.soft, hard: limit.hard };
}

function resources(limits: LinuxResources | undefined, insecure: boolean): OciResources {
  const devices = insecure
    ? [
        { allow: true, type: "c", access: "rwm" },
        { allow: true, type: "b", access: "rwm" },
      ]
    : [{ allow: false, access: "rwm" }];
  if (limits === undefined) return { devices };
  const memory = {
    ...(limits.memory === 0 ? {} : { limit: limits.memory }),
    ...(limits.memorySwap === 0 ? {} : { swap: limits.memorySwap }),
  };
  const cpu = {
    ...(limits.cpuShares === 0 ? {} : { shares: limits.cpuShares }),
    ...(limits.cpuQuota === 0 ? {} : { quota: limits.cpuQuota }),
    ...(limits.cpuPeriod === 0 ? {} : { period: limits.cpuPeriod }),
    ...(limits.cpusetCpus === "" ? {} : { cpus: limits.cpusetCpus }),
    ...(limits.cpusetMems === "" ? {} : { mems: limits.cpusetMems }),
  };
  return {
    devices,
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
  };
}
