import { mkdirSync } from "node:fs";
import { type ByteString, joinBytes, toBytes } from "../../util/sys/index.ts";
import { inodeKey, isDirectory, isWhiteout, lstatBytes, namesIn } from "./overlay-form.ts";

export interface LayerScan {
  /** Blocks on disk, each inode once. */
  readonly sizeBytes: number;
  readonly entries: number;
  /** Directories, relative to the layer, that hold whiteouts; the root itself is left out. */
  readonly whiteoutDirs: readonly ByteString[];
}

/** Walks a layer directory once. */
export function scanLayer(layer: ByteString): LayerScan {
  const seen = new Set<string>();
  const whiteoutDirs: ByteString[] = [];
  let blocks = 0n;
  let entries = 0;
  const walk = (relative: ByteString): void => {
    let deletes = false;
    for (const name of namesIn(joinBytes(layer, relative))) {
      const child = joinBytes(relative, name);
      const stat = lstatBytes(joinBytes(layer, child));
      entries++;
      if (isWhiteout(stat)) {
        deletes = true;
        continue;
      }
      if (stat.nlink === 1n || isDirectory(stat) || !seen.has(inodeKey(stat))) blocks += stat.blocks;
      if (isDirectory(stat)) walk(child);
      else if (stat.nlink > 1n) seen.add(inodeKey(stat));
    }
    if (deletes && relative !== "") whiteoutDirs.push(relative);
  };
  walk("" as ByteString);
  return { sizeBytes: Number(blocks) * 512, entries, whiteoutDirs };
}

/**
 * Makes the bare directories that hold a layer's whiteouts. Mounted right below the layer, they make overlayfs treat those
 * directories as merged; it lists whiteouts of a directory that only one layer has.
 */
export function makeSkeleton(target: ByteString, dirs: readonly ByteString[]): void {
  mkdirSync(toBytes(target), { recursive: true });
  for (const dir of dirs) mkdirSync(toBytes(joinBytes(target, dir)), { recursive: true });
}
