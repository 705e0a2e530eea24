import { lstatSync, readlinkSync } from "node:fs";

const maxLinks = 255;

/**
 * Host path of a container path, every symlink resolved as if `root` were `/`; parts that do not exist are kept as they are
 * (containerd continuity fs.RootPath).
 * @throws Error ELOOP, ENOTDIR …
 */
export function resolveInRoot(root: string, path: string): string {
  const pending = path.split("/").reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() as string;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    resolved.push(part);
    const target = linkTarget(`${root}/${resolved.join("/")}`);
    if (target === undefined) continue;
    if (++links > maxLinks) throw Object.assign(new Error("too many links"), { code: "ELOOP" });
    resolved.pop();
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").reverse());
  }
  return resolved.length === 0 ? root : `${root}/${resolved.join("/")}`;
}

function linkTarget(path: string): string | undefined {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  return readlinkSync(path);
}
