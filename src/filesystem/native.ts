import { getXattr, listXattrs, makeDevice, makeNode, setTimes, setXattr } from "../util/sys/index.ts";
import { type BytePath, fsPath } from "./byte-path.ts";
import { attempt } from "./fs-error.ts";

/** All extended attributes of a path (links are not followed); undefined when there are none. */
export function readXattrs(path: BytePath): Map<string, Uint8Array> | undefined {
  const names = attempt("failed to xattr", path, () => listXattrs(fsPath(path)));
  if (names.length === 0) return undefined;
  const found = new Map<string, Uint8Array>();
  for (const name of names) {
    if (name.startsWith("com.apple.")) continue;
    const value = getXattr(fsPath(path), Buffer.from(name, "latin1"));
    if (value !== undefined) found.set(name, value);
  }
  return found.size === 0 ? undefined : found;
}

/** @returns false when the file system or the kernel refuses the attribute */
export function writeXattr(path: BytePath, name: string, value: Uint8Array): boolean {
  try {
    setXattr(fsPath(path), Buffer.from(name, "latin1"), value);
    return true;
  } catch {
    return false;
  }
}

/** Sets the modification time, and the access time if given, to the nanosecond; links are not followed. */
export function writeTimes(path: BytePath, mtimeNs: bigint, atimeNs: bigint = mtimeNs): void {
  attempt("utimes", path, () => setTimes(fsPath(path), { mtimeNs, atimeNs }));
}

/** @param mode st_mode with its type bits */
export function writeNode(path: BytePath, mode: number, major: number, minor: number): void {
  attempt("mknod", path, () => makeNode(fsPath(path), mode, makeDevice(major, minor)));
}
