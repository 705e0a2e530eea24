import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import { unmount } from "../../../src/util/sys/index.ts";

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** A process in a cgroup, which is the name of its container. */
export interface ContainedProcess extends FoundProcess {
  readonly container: string;
}

/** Processes that name a directory in their arguments or work in it, this one left out. */
export function processesOf(directory: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const command = commandOf(pid);
      const inside = `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${directory}/`);
      if (inside || command.includes(`${directory}/`)) found.push({ pid, command });
    } catch {
      // It has ended meanwhile, or is a zombie.
    }
  }
  return found;
}

/** Processes in the cgroups below `parent`: those of containers. */
export function processesInCgroups(parent: string): ContainedProcess[] {
  const found = new Map<number, ContainedProcess>();
  for (const directory of cgroupsUnder(parent)) {
    try {
      for (const line of readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n")) {
        const pid = Number(line);
        if (pid > 0 && !found.has(pid)) {
          found.set(pid, { pid, command: commandOf(pid), container: basename(directory) });
        }
      }
    } catch {
      // The container has ended meanwhile.
    }
  }
  return [...found.values()];
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
}

/** Mount points under a directory, innermost first. */
export function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}

export function unmountAllUnder(directory: string): void {
  for (const path of mountsUnder(directory)) unmount(path);
}

/** Cgroups of all hierarchies below `<root>/<parent>`, deepest first; `parent` itself is not among them. */
export function cgroupsUnder(parent: string): string[] {
  return cgroupDirectories(parent).flatMap((directory) => descend(directory).slice(0, -1));
}

/** Removes a parent cgroup made for the sandbox; what is in it must be empty. */
export function removeCgroups(parent: string): void {
  for (const directory of cgroupDirectories(parent)) {
    for (const path of descend(directory)) rmdirSync(path);
  }
}

function cgroupDirectories(parent: string): string[] {
  const root = "/sys/fs/cgroup";
  const hierarchies = existsSync(join(root, "cgroup.controllers"))
    ? [root]
    : readdirSync(root).map((name) => join(root, name));
  return [...new Set(hierarchies.map((hierarchy) => join(hierarchy, parent)))].filter((path) => existsSync(path));
}

function descend(directory: string): string[] {
  let below: string[];
  try {
    below = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(directory, entry.name));
  } catch {
    // It has gone meanwhile.
    return [];
  }
  return [...below.flatMap(descend), directory];
}
