import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Mount points under a directory, innermost first. */
export function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}

/** Removes the cgroups of steps, and kills what an agent that died has left in them. */
export async function removeCgroups(name: string): Promise<void> {
  const root = "/sys/fs/cgroup";
  const hierarchies = existsSync(join(root, "cgroup.controllers"))
    ? [root]
    : readdirSync(root).map((hierarchy) => join(root, hierarchy));
  for (const hierarchy of hierarchies) {
    const directories = treeOf(join(hierarchy, name));
    for (const directory of directories) killAll(directory);
    for (const directory of directories) await removeDirectory(directory);
  }
}

/** Deepest first. */
function treeOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...below.flatMap(({ name }) => treeOf(join(directory, name))), directory];
}

function killAll(cgroup: string): void {
  const pids = readFileSync(join(cgroup, "cgroup.procs"), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  for (const pid of pids) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
}

/** A cgroup can be removed when the last process in it is gone, which takes a moment after a kill. */
async function removeDirectory(path: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return rmdirSync(path);
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(20);
    }
  }
}
