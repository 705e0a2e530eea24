import { type ByteString, byteStringFrom } from "./byte-string.ts";
import { hasErrno } from "./errno-error.ts";
import { bind, check, cPath, type SysPath } from "./libc.ts";

const lgetxattr = bind("lgetxattr", "long", ["void *", "void *", "void *", "size_t"]);
const llistxattr = bind("llistxattr", "long", ["void *", "void *", "size_t"]);
const lsetxattr = bind("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]);
const lremovexattr = bind("lremovexattr", "int", ["void *", "void *"]);

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel: nothing is longer. */
const scratch = new Uint8Array(65536);

/** Value of an extended attribute of the path itself (links are not followed). @returns undefined when there is none */
export function getXattr(path: SysPath, name: SysPath): Uint8Array | undefined {
  try {
    const size = check("lgetxattr", lgetxattr(cPath(path), cPath(name), scratch, scratch.length), path);
    return scratch.slice(0, size);
  } catch (error) {
    if (hasErrno(error, "ENODATA", "ENOTSUP", "EOPNOTSUPP")) return undefined;
    throw error;
  }
}

/** Names of all attributes, sorted; empty where the filesystem has none. */
export function listXattrs(path: SysPath): ByteString[] {
  try {
    const size = check("llistxattr", llistxattr(cPath(path), scratch, scratch.length), path);
    if (size === 0) return [];
    return byteStringFrom(scratch.subarray(0, size - 1))
      .split("\0")
      .sort() as ByteString[];
  } catch (error) {
    if (hasErrno(error, "ENOTSUP", "EOPNOTSUPP")) return [];
    throw error;
  }
}

export function setXattr(path: SysPath, name: SysPath, value: Uint8Array): void {
  check("lsetxattr", lsetxattr(cPath(path), cPath(name), value, value.length, 0), path);
}

/** @returns false when it was not there */
export function removeXattr(path: SysPath, name: SysPath): boolean {
  try {
    check("lremovexattr", lremovexattr(cPath(path), cPath(name)), path);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENODATA", "ENOTSUP", "EOPNOTSUPP")) return false;
    throw error;
  }
}
