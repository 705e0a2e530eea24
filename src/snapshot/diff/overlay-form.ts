import { type BigIntStats, constants, lstatSync, readdirSync } from "node:fs";
import {
  type ByteString,
  byteString,
  getXattr,
  joinBytes,
  listXattrs,
  makeNode,
  setXattr,
  toBytes,
} from "../../util/sys/index.ts";

/**
 * The form in which layers are stored (kernel Documentation/filesystems/overlayfs.rst): a deleted path is a character device
 * 0/0, an opaque directory has `trusted.overlay.opaque=y`.
 */

const opaqueName = Buffer.from("trusted.overlay.opaque");
const yes = Buffer.from("y");
export const overlayXattrPrefix = "trusted.overlay.";

export function fileType(stat: BigIntStats): number {
  return Number(stat.mode) & constants.S_IFMT;
}

export function isDirectory(stat: BigIntStats): boolean {
  return fileType(stat) === constants.S_IFDIR;
}

export function isWhiteout(stat: BigIntStats): boolean {
  return stat.rdev === 0n && fileType(stat) === constants.S_IFCHR;
}

export function makeWhiteout(path: ByteString): void {
  makeNode(toBytes(path), constants.S_IFCHR, 0n);
}

export function isOpaque(dir: ByteString): boolean {
  const value = getXattr(toBytes(dir), opaqueName);
  return value?.length === 1 && value[0] === yes[0];
}

export function setOpaque(dir: ByteString): void {
  setXattr(toBytes(dir), opaqueName, yes);
}

export function lstatBytes(path: ByteString): BigIntStats {
  return lstatSync(toBytes(path), { bigint: true });
}

/** @returns undefined when the path, or a directory on the way to it, does not exist */
export function lstatIfExists(path: ByteString): BigIntStats | undefined {
  try {
    return lstatSync(toBytes(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Names in a directory in byte order, which is the order of Go's filepath.Walk. */
export function namesIn(dir: ByteString): ByteString[] {
  return (readdirSync(toBytes(dir), { encoding: "latin1" }) as ByteString[]).sort(compareBytes);
}

export function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Attributes that belong to the file and not to overlayfs' own book-keeping. */
export function ownXattrs(path: ByteString): ByteString[] {
  return listXattrs(toBytes(path)).filter((name) => !name.startsWith(overlayXattrPrefix));
}

export function inodeKey(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}`;
}

/** A host path given as text, as ByteString. */
export function hostPath(path: string): ByteString {
  return byteString(path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path);
}

export { joinBytes };
