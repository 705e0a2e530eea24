import { type BigIntStats, closeSync, constants, openSync, readlinkSync, readSync } from "node:fs";
import { type ByteString, getXattr, toBytes } from "../../util/sys/index.ts";
import { fileType, isDirectory, ownXattrs } from "./overlay-form.ts";

interface Side {
  readonly path: ByteString;
  readonly stat: BigIntStats;
}

/**
 * Whether two versions of a path count as unchanged. Type, mode, owner, device and extended attributes decide; for what is no
 * directory also size and mtime; and the content where both mtimes have no nanoseconds, as they may come from a tar.
 *
 * Follows continuity fs/path.go (sameFile), which compares security.capability only: we compare all attributes, so that a
 * step which only sets one is not lost.
 */
export function sameEntry(a: Side, b: Side): boolean {
  if (a.stat.ino === b.stat.ino && a.stat.dev === b.stat.dev) return true;
  if (
    a.stat.mode !== b.stat.mode ||
    a.stat.uid !== b.stat.uid ||
    a.stat.gid !== b.stat.gid ||
    a.stat.rdev !== b.stat.rdev
  ) {
    return false;
  }
  if (!sameXattrs(a.path, b.path)) return false;
  if (isDirectory(a.stat)) return true;
  if (a.stat.size !== b.stat.size || a.stat.mtimeNs !== b.stat.mtimeNs) return false;
  if (a.stat.mtimeNs % 1_000_000_000n !== 0n) return true;
  switch (fileType(a.stat)) {
    case constants.S_IFLNK:
      return readlinkSync(toBytes(a.path), "latin1") === readlinkSync(toBytes(b.path), "latin1");
    case constants.S_IFREG:
      return a.stat.size === 0n || sameContent(a.path, b.path);
    default:
      return true;
  }
}

function sameXattrs(a: ByteString, b: ByteString): boolean {
  const names = ownXattrs(a);
  const others = ownXattrs(b);
  if (names.length !== others.length || names.some((name, index) => name !== others[index])) return false;
  return names.every((name) => {
    const attribute = toBytes(name);
    const value = getXattr(toBytes(a), attribute);
    const other = getXattr(toBytes(b), attribute);
    return value !== undefined && other !== undefined && Buffer.compare(value, other) === 0;
  });
}

const chunkBytes = 128 * 1024;

function sameContent(a: ByteString, b: ByteString): boolean {
  const left = Buffer.allocUnsafe(chunkBytes);
  const right = Buffer.allocUnsafe(chunkBytes);
  const leftFd = openSync(toBytes(a), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const rightFd = openSync(toBytes(b), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      for (;;) {
        const length = readSync(leftFd, left);
        const other = readFully(rightFd, right, length);
        if (other !== length || left.compare(right, 0, length, 0, length) !== 0) return false;
        if (length === 0) return readSync(rightFd, right) === 0;
      }
    } finally {
      closeSync(rightFd);
    }
  } finally {
    closeSync(leftFd);
  }
}

function readFully(fd: number, buffer: Buffer, length: number): number {
  let at = 0;
  while (at < length) {
    const read = readSync(fd, buffer, at, length - at, null);
    if (read === 0) break;
    at += read;
  }
  return at;
}
