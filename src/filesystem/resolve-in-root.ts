import { lstatSync, readlinkSync } from "node:fs";
import { type BytePath, fsPath } from "./byte-path.ts";
import { attempt } from "./fs-error.ts";
import { joinPath } from "./go-path.ts";

const maxLinks = 255;

export interface ResolveOptions {
  /** Also resolve the last component when it is a link; default true. */
  readonly followLast?: boolean;
}

/**
 * Joins a path with a root, resolving every symlink as if the root were `/`. What does not exist is taken as it is, so the
 * result can be created. The result is always inside the root (containerd continuity fs.RootPath).
 * @returns `root` + an absolute clean path
 * @throws Error `too many links`; FsError of a failed lstat, e.g. `lstat …: not a directory`
 */
export function resolveInRoot(root: BytePath, path: BytePath, options: ResolveOptions = {}): BytePath {
  const followLast = options.followLast ?? true;
  let current = "/";
  const pending = path.split("/").reverse();
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() as string;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      current = current.slice(0, current.lastIndexOf("/")) || "/";
      continue;
    }
    const next = current === "/" ? `/${part}` : `${current}/${part}`;
    if (!followLast && pending.every((rest) => rest === "" || rest === ".")) {
      current = next;
      break;
    }
    const target = readLinkIfAny(root + next);
    if (target === undefined) {
      current = next;
      continue;
    }
    if (++links > maxLinks) throw new Error("too many links");
    if (target.startsWith("/")) current = "/";
    pending.push(...target.split("/").reverse());
  }
  return joinPath(root, current);
}

function readLinkIfAny(path: BytePath): BytePath | undefined {
  return attempt("lstat", path, () => {
    const stats = lstatSync(fsPath(path), { throwIfNoEntry: false });
    return stats?.isSymbolicLink() ? readlinkSync(fsPath(path), "latin1") : undefined;
  });
}
