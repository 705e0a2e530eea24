import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Lets limits of steps work in a container. There the daemon's processes are in the root of a cgroup namespace, and a cgroup
 * with processes cannot give controllers to those below it (cgroups(7), "no internal processes"). Moves them to `init` below
 * it and enables all controllers, as BuildKit does (executor/resources/monitor.go prepareCgroupControllers). Nothing happens
 * without cgroup v2.
 *
 * @returns controllers that could not be enabled
 */
export function setUpCgroupRoot(root = "/sys/fs/cgroup"): readonly string[] {
  const file = (name: string) => join(root, name);
  if (!existsSync(file("cgroup.controllers"))) return [];
  mkdirSync(file("init"), { recursive: true });
  for (const pid of words(file("cgroup.procs"))) moveProcess(pid, file("init"));
  return words(file("cgroup.controllers")).filter((name) => !enable(name, file("cgroup.subtree_control")));
}

function moveProcess(pid: string, cgroup: string): void {
  try {
    writeFileSync(join(cgroup, "cgroup.procs"), pid);
  } catch (error) {
    // It has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function enable(controller: string, subtreeControl: string): boolean {
  try {
    writeFileSync(subtreeControl, `+${controller}`);
    return true;
  } catch {
    return false;
  }
}

function words(path: string): readonly string[] {
  return readFileSync(path, "utf8")
    .split(/\s+/)
    .filter((word) => word !== "");
}
