import { rmdirSync } from "node:fs";
import { type ByteString, joinBytes, toBytes } from "../../util/sys/index.ts";
import { EntryCopier, finishDirectory } from "./copy-entry.ts";
import { list, type MergedDir, type MergedEntry } from "./merged-dir.ts";
import { makeWhiteout } from "./overlay-form.ts";
import { sameEntry } from "./same-entry.ts";

/**
 * Writes what turns `lower` into `upper` as a layer in overlay form into the empty directory `target`: changed and new
 * entries, whiteouts for those gone, and their parents (continuity fs/diff.go, double walk).
 *
 * @param lower topmost first; `[]` for scratch
 * @param upper topmost first
 */
export function compareTrees(lower: MergedDir, upper: MergedDir, target: ByteString): void {
  compareDirs(lower, upper, target, new EntryCopier());
}

/** @returns true when something was written */
function compareDirs(lower: MergedDir, upper: MergedDir, target: ByteString, copier: EntryCopier): boolean {
  const before = new Map(list(lower).map((entry) => [entry.name, entry]));
  let changed = false;
  for (const entry of list(upper)) {
    const old = before.get(entry.name);
    before.delete(entry.name);
    if (writeChange(old, entry, joinBytes(target, entry.name), copier)) changed = true;
  }
  for (const name of before.keys()) {
    makeWhiteout(joinBytes(target, name));
    changed = true;
  }
  return changed;
}

function writeChange(old: MergedEntry | undefined, entry: MergedEntry, to: ByteString, copier: EntryCopier): boolean {
  if (old?.dirs === undefined || entry.dirs === undefined) {
    if (old !== undefined && sameEntry(old, entry)) return false;
    copier.copyTree(entry, to);
    return true;
  }
  copier.copy(entry, to);
  const changed = compareDirs(old.dirs, entry.dirs, to, copier);
  if (!changed && sameEntry(old, entry)) {
    rmdirSync(toBytes(to));
    return false;
  }
  finishDirectory(entry.stat, to);
  return true;
}
