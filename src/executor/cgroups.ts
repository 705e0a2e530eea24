import { readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

interface Hierarchy {
  readonly mountPoint: string;
  readonly version: 1 | 2;
  /** Controllers of a v1 hierarchy. */
  readonly controllers: readonly string[];
}

export interface CgroupUsage {
  readonly cpuNanos: number;
  readonly peakMemoryBytes: number;
  /** Processes killed for want of memory. */
  readonly oomKills: number;
}

/** The machine's cgroup hierarchies: v2 alone, v1, or both ("hybrid"). Paths are absolute in each hierarchy. */
export class Cgroups {
  readonly #hierarchies: readonly Hierarchy[];

  constructor(hierarchies: readonly Hierarchy[] = findHierarchies()) {
    this.#hierarchies = hierarchies;
  }

  /** `unified` is v2 alone; only there may a container have a cgroup namespace (moby/buildkit 4108). */
  get mode(): "unified" | "hybrid" | "legacy" | "none" {
    const versions = new Set(this.#hierarchies.map((hierarchy) => hierarchy.version));
    if (versions.size === 2) return "hybrid";
    if (versions.has(2)) return "unified";
    return versions.has(1) ? "legacy" : "none";
  }

  /** What ran in a cgroup has cost so far. Zero where the kernel does not tell. */
  usage(path: string): CgroupUsage {
    const v1 = (controller: string, file: string) => {
      const found = this.#hierarchies.find((hierarchy) => hierarchy.controllers.includes(controller));
      return found === undefined ? "" : read(join(found.mountPoint, path, file));
    };
    const unified = this.#hierarchies.find((hierarchy) => hierarchy.version === 2);
    const v2 = (file: string) => (unified === undefined ? "" : read(join(unified.mountPoint, path, file)));
    return {
      cpuNanos: Number(v1("cpuacct", "cpuacct.usage")) || field(v2("cpu.stat"), "usage_usec") * 1000,
      peakMemoryBytes: Number(v1("memory", "memory.max_usage_in_bytes")) || Number(v2("memory.peak")),
      oomKills: field(v1("memory", "memory.oom_control"), "oom_kill") || field(v2("memory.events"), "oom_kill"),
    };
  }

  /** @returns false when a cgroup is still there, i.e. has processes or children */
  remove(path: string): boolean {
    let gone = true;
    for (const { mountPoint } of this.#hierarchies) {
      try {
        rmdirSync(join(mountPoint, path));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") gone = false;
      }
    }
    return gone;
  }

  /** Ids of the processes in a cgroup; those of its children left out. */
  processes(path: string): number[] {
    const lists = this.#hierarchies.map(({ mountPoint }) => read(join(mountPoint, path, "cgroup.procs")));
    const ids = lists.flatMap((list) => list.split("\n").map(Number));
    return [...new Set(ids)].filter((id) => id > 0);
  }

  /** Names of the cgroups under a path. */
  children(path: string): string[] {
    const names = new Set<string>();
    for (const { mountPoint } of this.#hierarchies) {
      try {
        for (const entry of readdirSync(join(mountPoint, path), { withFileTypes: true })) {
          if (entry.isDirectory()) names.add(entry.name);
        }
      } catch {
        // Not in this hierarchy.
      }
    }
    return [...names];
  }
}

/** Reads `/proc/self/mountinfo` (proc(5)): `… mount-point … - type source super-options`. */
function findHierarchies(): Hierarchy[] {
  const hierarchies: Hierarchy[] = [];
  for (const line of read("/proc/self/mountinfo").split("\n")) {
    const [place = "", filesystem = ""] = line.split(" - ");
    const mountPoint = place.split(" ")[4];
    const [type, , options = ""] = filesystem.split(" ");
    if (mountPoint === undefined || !mountPoint.startsWith("/sys/fs/cgroup")) continue;
    if (type === "cgroup") hierarchies.push({ mountPoint, version: 1, controllers: options.split(",") });
    if (type === "cgroup2") hierarchies.push({ mountPoint, version: 2, controllers: [] });
  }
  return hierarchies;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function field(text: string, name: string): number {
  for (const line of text.split("\n")) {
    const [key, value] = line.split(" ");
    if (key === name) return Number(value);
  }
  return 0;
}
