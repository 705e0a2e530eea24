import type { BigIntStats } from "node:fs";
import { type ByteString, joinBytes } from "../../util/sys/index.ts";
import { compareBytes, isDirectory, isOpaque, isWhiteout, lstatBytes, lstatIfExists, namesIn } from "./overlay-form.ts";

/**
 * One directory of a stack of layers in overlay form, read without mounting: the host directories which together make it up,
 * topmost first. The root of a stack is simply the list of its layer directories, topmost first. A plain tree is a stack of one.
 */
export type MergedDir = readonly ByteString[];

export interface MergedEntry {
  readonly name: ByteString;
  /** Host path of the topmost version, whose metadata count. */
  readonly path: ByteString;
  readonly stat: BigIntStats;
  /** Set for directories. */
  readonly dirs: MergedDir | undefined;
}

/** One name of a merged directory, or undefined if it does not exist or is deleted. */
export function lookup(dir: MergedDir, name: ByteString): MergedEntry | undefined {
  let top: { path: ByteString; stat: BigIntStats } | undefined;
  const dirs: ByteString[] = [];
  for (const layer of dir) {
    const path = joinBytes(layer, name);
    const stat = lstatIfExists(path);
    if (stat === undefined) continue;
    if (isWhiteout(stat)) break;
    if (!isDirectory(stat)) {
      if (top === undefined) return { name, path, stat, dirs: undefined };
      break;
    }
    top ??= { path, stat };
    dirs.push(path);
    if (isOpaque(path)) break;
  }
  return top === undefined ? undefined : { name, ...top, dirs };
}

/** All entries in byte order of their names. */
export function list(dir: MergedDir): MergedEntry[] {
  const open = new Map<ByteString, { path: ByteString; stat: BigIntStats; dirs: ByteString[] | undefined }>();
  const closed = new Set<ByteString>();
  for (const layer of dir) {
    for (const name of namesIn(layer)) {
      if (closed.has(name)) continue;
      const path = joinBytes(layer, name);
      const stat = lstatBytes(path);
      const known = open.get(name);
      if (isWhiteout(stat) || (known !== undefined && !isDirectory(stat))) {
        closed.add(name);
        continue;
      }
      if (!isDirectory(stat)) {
        open.set(name, { path, stat, dirs: undefined });
        closed.add(name);
        continue;
      }
      if (known === undefined) open.set(name, { path, stat, dirs: [path] });
      else known.dirs?.push(path);
      if (dir.length > 1 && isOpaque(path)) closed.add(name);
    }
  }
  return [...open].map(([name, entry]) => ({ name, ...entry })).sort((a, b) => compareBytes(a.name, b.name));
}

/** Looks a slash-separated path up from the root of a stack. Symbolic links are not followed. */
export function lookupPath(root: MergedDir, path: ByteString): MergedEntry | undefined {
  let dirs: MergedDir | undefined = root;
  let entry: MergedEntry | undefined;
  for (const name of path.split("/") as ByteString[]) {
    if (name === "" || name === ".") continue;
    if (dirs === undefined) return undefined;
    entry = lookup(dirs, name);
    if (entry === undefined) return undefined;
    dirs = entry.dirs;
  }
  return entry;
}
