import { linkSync } from "node:fs";
import { type ByteString, joinBytes, setTimes, toBytes } from "../../util/sys/index.ts";
import { missingTarget, type UnsettledLayer } from "./apply-layer-tar.ts";
import { copyMetadata, EntryCopier } from "./copy-entry.ts";
import { lookupPath, type MergedDir } from "./merged-dir.ts";
import { normalizeLayer } from "./normalize-layer.ts";
import { isDirectory, isWhiteout, lstatIfExists } from "./overlay-form.ts";

/**
 * Completes an unpacked layer with the help of the stack below it: hard links into lower layers become copies, directories
 * that the archive left out get owner, mode and time from below, opaque directories become whiteouts (see normalizeLayer).
 *
 * @param lowers topmost first
 * @throws InvalidLayerError when a hard link's target exists nowhere
 */
export function settleLayer(layer: ByteString, lowers: MergedDir, unsettled: UnsettledLayer): void {
  const copier = new EntryCopier();
  for (const { path, target } of unsettled.links) makeLink(layer, lowers, path, target, copier);
  for (const path of unsettled.parents) {
    const host = joinBytes(layer, path);
    const below = lookupPath(lowers, path);
    const stat = lstatIfExists(host);
    if (below?.dirs === undefined || stat === undefined || !isDirectory(stat)) continue;
    copyMetadata(below.path, below.stat, host);
    setTimes(toBytes(host), { atimeNs: below.stat.atimeNs, mtimeNs: below.stat.mtimeNs });
  }
  if (unsettled.opaque) normalizeLayer(layer, lowers, { dropUnchanged: false });
}

function makeLink(
  layer: ByteString,
  lowers: MergedDir,
  path: ByteString,
  target: ByteString,
  copier: EntryCopier,
): void {
  const host = joinBytes(layer, path);
  const parent = joinBytes(layer, path.slice(0, Math.max(0, path.lastIndexOf("/"))) as ByteString);
  const parentStat = lstatIfExists(parent);
  // A later entry of the archive may have replaced the link or its directory.
  if (parentStat === undefined || !isDirectory(parentStat) || lstatIfExists(host) !== undefined) return;
  const inLayer = lstatIfExists(joinBytes(layer, target));
  if (inLayer !== undefined) {
    if (isDirectory(inLayer) || isWhiteout(inLayer)) throw missingTarget(path, target);
    linkSync(toBytes(joinBytes(layer, target)), toBytes(host));
  } else {
    const below = lookupPath(lowers, target);
    if (below === undefined || below.dirs !== undefined) throw missingTarget(path, target);
    copier.copy(below, host);
  }
  setTimes(toBytes(parent), { atimeNs: parentStat.atimeNs, mtimeNs: parentStat.mtimeNs });
}
