import { type BigIntStats, rmdirSync, unlinkSync } from "node:fs";
import { type ByteString, joinBytes, listXattrs, removeXattr, setTimes, toBytes } from "../../util/sys/index.ts";
import { list, lookup, type MergedDir } from "./merged-dir.ts";
import {
  isDirectory,
  isOpaque,
  isWhiteout,
  lstatBytes,
  makeWhiteout,
  namesIn,
  overlayXattrPrefix,
} from "./overlay-form.ts";
import { removeTree } from "./remove-tree.ts";
import { sameEntry } from "./same-entry.ts";

export interface NormalizeOptions {
  /** Drop entries that are the same as below them. False for layers that come from a tar, whose entries are all meant. */
  readonly dropUnchanged: boolean;
}

/**
 * Turns a layer that was written on top of `lowers` into a diff that holds on its own, so that it may be stacked on any other
 * base and gives there what BuildKit's merge gives (snapshot/diffapply_linux.go applies changes, not directories):
 *
 * - an opaque directory becomes an ordinary one with a whiteout for each path of the base which it hides;
 * - a whiteout without anything below it goes;
 * - files and directories that were copied up and are as before go (util/overlay/overlay_linux.go: sameDirent);
 * - overlayfs' own attributes go.
 *
 * @param lowers the stack below, topmost first
 */
export function normalizeLayer(layer: ByteString, lowers: MergedDir, options: NormalizeOptions): void {
  normalizeDir(layer, lowers, false, options);
  dropBookKeeping(layer);
}

/** @returns true when the directory holds a change */
function normalizeDir(dir: ByteString, lowers: MergedDir, hidesBase: boolean, options: NormalizeOptions): boolean {
  const names = namesIn(dir);
  const hidden = hidesBase ? new Set(list(lowers).map((entry) => entry.name)) : undefined;
  let changed = false;
  for (const name of names) {
    hidden?.delete(name);
    if (normalizeEntry(joinBytes(dir, name), name, lowers, hidesBase, options)) changed = true;
  }
  for (const name of hidden ?? []) {
    makeWhiteout(joinBytes(dir, name));
    changed = true;
  }
  return changed;
}

function normalizeEntry(
  path: ByteString,
  name: ByteString,
  lowers: MergedDir,
  hidesBase: boolean,
  options: NormalizeOptions,
): boolean {
  const stat = lstatBytes(path);
  const base = lowers.length === 0 ? undefined : lookup(lowers, name);
  if (isWhiteout(stat)) {
    if (base !== undefined) return true;
    unlinkSync(toBytes(path));
    return false;
  }
  if (!isDirectory(stat)) {
    if (base === undefined) return true;
    dropBookKeeping(path);
    if (!options.dropUnchanged || !sameEntry(base, { path, stat })) return true;
    unlinkSync(toBytes(path));
    return false;
  }
  const baseDirs = base?.dirs ?? [];
  const opaque = hidesBase || isOpaque(path);
  const changed = normalizeDir(path, baseDirs, opaque && baseDirs.length > 0, options);
  dropBookKeeping(path);
  if (changed || base?.dirs === undefined || !options.dropUnchanged || !sameEntry(base, { path, stat })) {
    restoreTimes(path, stat);
    return true;
  }
  if (namesIn(path).length > 0) removeTree(path);
  else rmdirSync(toBytes(path));
  return false;
}

function restoreTimes(path: ByteString, stat: BigIntStats): void {
  setTimes(toBytes(path), { atimeNs: stat.atimeNs, mtimeNs: stat.mtimeNs });
}

/** overlayfs notes where a copy came from, and more, in attributes that mean nothing outside its mount. */
function dropBookKeeping(path: ByteString): void {
  for (const name of listXattrs(toBytes(path))) {
    if (name.startsWith(overlayXattrPrefix)) removeXattr(toBytes(path), toBytes(name));
  }
}
