import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { unmount } from "../../../src/util/sys/index.ts";

/** A process that belongs to a directory: by its arguments, its working directory, or a mount it sees. */
export interface DirectoryProcess {
  readonly pid: number;
  readonly command: string;
  /** Runs in a mount namespace of its own: a container. */
  readonly contained: boolean;
}

/** Processes that belong to a directory, this one left out. */
export function processesOf(directory: string): DirectoryProcess[] {
  const ownNamespace = readlinkSync("/proc/self/ns/mnt");
  const found: DirectoryProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const contained = readlinkSync(`/proc/${pid}/ns/mnt`) !== ownNamespace;
      const sees = contained && readFileSync(`/proc/${pid}/mountinfo`, "utf8").includes(`${directory}/`);
      const inside = `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${directory}/`);
      if (sees || inside || command.includes(`${directory}/`)) found.push({ pid, command, contained });
    } catch {
      // It has ended meanwhile, or is a zombie.
    }
  }
  return found;
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
  const below = readdirSync(directory)
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isDirectory());
  return [...below.flatMap(descend), directory];
}
