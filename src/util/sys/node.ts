import { bind, check, cPath, type SysPath } from "./libc.ts";

const mknodCall = bind("mknod", "int", ["void *", "uint32_t", "uint64_t"]);
const renameat2Call = bind("renameat2", "int", ["int", "void *", "int", "void *", "uint32_t"]);
const AT_FDCWD = -100;

/** Creates a file of any type; `mode` includes the type bits (S_IFCHR …). The umask does not apply to what `chmod` sets later. */
export function makeNode(path: SysPath, mode: number, device: bigint): void {
  check("mknod", mknodCall(cPath(path), mode, device), path);
}

/** Device number from its parts (glibc gnu_dev_makedev). */
export function makeDevice(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

export function deviceMajor(device: bigint): number {
  return Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn));
}

export function deviceMinor(device: bigint): number {
  return Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn));
}

/** Rename that fails with EEXIST, or swaps both names, in one atomic step. */
export function renameExactly(from: SysPath, to: SysPath, how: "no-replace" | "exchange"): void {
  const flags = how === "no-replace" ? 1 : 2;
  check("renameat2", renameat2Call(AT_FDCWD, cPath(from), AT_FDCWD, cPath(to), flags), from);
}
