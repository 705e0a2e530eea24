import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { type BytePath, bytePath, fsPath, textPath } from "./byte-path.ts";
import { errnoOf } from "./fs-error.ts";
import { goMatch } from "./go-match.ts";
import { basePath, cleanPath, containsWildcards, dirPath, joinPath } from "./go-path.ts";

/**
 * Include patterns for paths which may be, or pass through, symlinks of the tree: each link on the way and each target is
 * named (fsutil FollowLinks). Wildcards are allowed in any component.
 * @returns undefined when a path is the root itself, i.e. nothing is filtered
 */
export function followPaths(root: BytePath, paths: readonly string[]): readonly string[] | undefined {
  const resolved = new Set<BytePath>();
  for (const path of paths) follow(root, bytePath(path), resolved);
  const result: BytePath[] = [];
  let last = "";
  for (const path of [...resolved].sort()) {
    if (path === ".") return undefined;
    if (path.startsWith(`${last}/`)) continue;
    result.push(path);
    last = path;
  }
  return result.map(textPath);
}

function follow(root: BytePath, path: BytePath, resolved: Set<BytePath>): void {
  let rest = joinPath(".", path.replace(/^\/+/, ""));
  // Lexically above the root is the root.
  while (rest === ".." || rest.startsWith("../")) rest = joinPath(".", rest.slice(3));
  let current = ".";
  for (;;) {
    const at = rest.indexOf("/");
    current = joinPath(current, at < 0 ? rest : rest.slice(0, at));
    rest = at < 0 ? "" : rest.slice(at + 1);
    const targets = linkTargets(root, current, true);
    if ((rest === "" || targets !== undefined) && resolved.has(current)) return;
    if (targets !== undefined) {
      resolved.add(current);
      for (const target of targets) follow(root, joinPath(target, rest), resolved);
      return;
    }
    if (rest === "") {
      resolved.add(current);
      return;
    }
  }
}

/** @returns undefined when there is no link */
function linkTargets(root: BytePath, path: BytePath, allowWildcard: boolean): readonly BytePath[] | undefined {
  if (path === ".") return undefined;
  const base = basePath(path);
  const directory = dirPath(path);
  try {
    if (allowWildcard && containsWildcards(base)) {
      const pattern = textPath(base);
      const found: BytePath[] = [];
      for (const name of readdirSync(fsPath(joinPath(root, directory)), "latin1").sort()) {
        if (!matchesQuietly(pattern, textPath(name))) continue;
        found.push(...(linkTargets(root, joinPath(directory, name), false) ?? []));
      }
      return found.length === 0 ? undefined : found;
    }
    const full = fsPath(joinPath(root, path));
    if (!lstatSync(full).isSymbolicLink()) return undefined;
    const link = cleanPath(readlinkSync(full, "latin1"));
    return [link.startsWith("/") ? link : joinPath("/", directory, link)];
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

function matchesQuietly(pattern: string, name: string): boolean {
  try {
    return goMatch(pattern, name);
  } catch {
    return false;
  }
}
