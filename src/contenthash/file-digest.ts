import { createHash, type Hash, hash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { Digest } from "../core/values/digest.ts";
import {
  attempt,
  type BytePath,
  type FileStat,
  fsPath,
  GoMode,
  goPermissions,
  isGoDir,
  isGoSymlink,
} from "../filesystem/index.ts";

const smallFileBytes = 256 << 10;
const blockBytes = 1 << 20;

/**
 * The tarsum v1 header of an entry: pairs of field name and value without separators, then the attributes that count
 * (BuildKit cache/contenthash/tarsum.go, filehash.go). No name and no time; characters are bytes.
 */
export function entryHeader(stat: FileStat): string {
  const directory = isGoDir(stat.mode);
  const symlink = isGoSymlink(stat.mode);
  const charDevice = (stat.mode & GoMode.charDevice) !== 0;
  const device = (stat.mode & GoMode.device) !== 0;
  const fifo = (stat.mode & GoMode.namedPipe) !== 0;
  const type = directory ? "5" : symlink ? "2" : charDevice ? "3" : device ? "4" : fifo ? "6" : "0";
  const size = type === "0" ? stat.size : 0;
  const link = symlink ? stat.linkname : "";
  let header = `namemode${goPermissions(stat.mode)}uid${stat.uid}gid${stat.gid}size${size}typeflag${type}linkname${link}`;
  header += `unamegnamedevmajor${stat.devmajor}devminor${stat.devminor}`;
  for (const name of [...(stat.xattrs?.keys() ?? [])].sort()) {
    if (!counts(name)) continue;
    header += name + Buffer.from(stat.xattrs?.get(name) ?? []).toString("latin1");
  }
  return header;
}

/** trusted.overlay.* describes how a layer is stored, not what is in it; a merged view does not show it. */
function counts(name: string): boolean {
  if (name === "security.capability") return true;
  return !name.startsWith("security.") && !name.startsWith("system.") && !name.startsWith("trusted.overlay.");
}

/** Digest of an entry without data. */
export function headerDigest(stat: FileStat): Digest {
  return `sha256:${hash("sha256", Buffer.from(entryHeader(stat), "latin1"), "hex")}` as Digest;
}

/** Starts the digest of a regular file; add the data and finish with `fileDigestOf`. */
export function startFileDigest(stat: FileStat): Hash {
  return createHash("sha256").update(entryHeader(stat), "latin1");
}

export function fileDigestOf(started: Hash): Digest {
  return `sha256:${started.digest("hex")}` as Digest;
}

/** Digest of a regular file on disk. */
export function hashFile(full: BytePath, stat: FileStat, checkCancelled: () => void): Digest {
  if (stat.size === 0) return headerDigest(stat);
  if (stat.size <= smallFileBytes) {
    const data = attempt("open", full, () => readFileSync(fsPath(full)));
    const text = Buffer.concat([Buffer.from(entryHeader(stat), "latin1"), data]);
    return `sha256:${hash("sha256", text, "hex")}` as Digest;
  }
  const started = startFileDigest(stat);
  const fd = attempt("open", full, () => openSync(fsPath(full), "r"));
  try {
    const block = Buffer.allocUnsafe(Math.min(blockBytes, stat.size));
    for (;;) {
      checkCancelled();
      const length = attempt("read", full, () => readSync(fd, block, 0, block.length, null));
      if (length === 0) return fileDigestOf(started);
      started.update(block.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}
