import { lstatSync } from "node:fs";
import { type BytePath, fsPath, textPath } from "./byte-path.ts";
import { resolveSource } from "./copier.ts";
import { attempt } from "./fs-error.ts";
import { goMatch } from "./go-match.ts";
import { splitWildcards } from "./go-path.ts";
import { listDirectory } from "./walk.ts";

/**
 * Paths of a root which a wildcard path names, sorted, each with a leading `/` (fsutil ResolveWildcards). Links in the part
 * before the first wildcard are resolved, so a path may come back under its real name. A path without wildcards is
 * returned as it is, whether or not it exists; a malformed pattern matches nothing.
 * @throws FsError when the part before the first wildcard does not exist
 */
export function findWildcards(root: BytePath, path: BytePath, followLinks: boolean): readonly BytePath[] {
  const [prefix, pattern] = splitWildcards(path);
  if (pattern === "") return [prefix];
  const base = resolveSource(root, prefix, followLinks);
  const stats = attempt("lstat", base, () => lstatSync(fsPath(base)));
  if (!stats.isDirectory()) return [];
  const found: BytePath[] = [];
  const text = textPath(pattern);
  // A class may match `/`; else a match has as many components as the pattern.
  const depth = text.includes("[") ? Number.POSITIVE_INFINITY : text.split("/").length;
  search(base, "", text, depth, found);
  return found.map((match) => `${base}/${match}`.slice(root.length));
}

function search(base: BytePath, directory: BytePath, pattern: string, depth: number, found: BytePath[]): void {
  for (const entry of listDirectory(directory === "" ? base : `${base}/${directory}`)) {
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (matchesQuietly(pattern, textPath(path))) found.push(path);
    else if (entry.isDirectory() && depth > 1) search(base, path, pattern, depth - 1, found);
  }
}

function matchesQuietly(pattern: string, name: string): boolean {
  try {
    return goMatch(pattern, name);
  } catch {
    return false;
  }
}
