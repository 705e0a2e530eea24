import { bind, check, cPath, type SysPath } from "./libc.ts";

const utimensat = bind("utimensat", "int", ["int", "void *", "void *", "int"]);
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const UTIME_OMIT = (1n << 30n) - 2n;
const second = 1_000_000_000n;

const spec = new BigInt64Array(4);
const specBytes = new Uint8Array(spec.buffer);

/**
 * Sets times to the nanosecond, on the link itself if the path is one. Node's `utimes` takes seconds as a double, which
 * cannot hold nanoseconds of today. An undefined time is left as it is.
 */
export function setTimes(path: SysPath, times: { readonly atimeNs?: bigint; readonly mtimeNs?: bigint }): void {
  putTime(0, times.atimeNs);
  putTime(2, times.mtimeNs);
  check("utimensat", utimensat(AT_FDCWD, cPath(path), specBytes, AT_SYMLINK_NOFOLLOW), path);
}

function putTime(at: number, timeNs: bigint | undefined): void {
  if (timeNs === undefined) {
    spec[at] = 0n;
    spec[at + 1] = UTIME_OMIT;
    return;
  }
  let nanos = timeNs % second;
  if (nanos < 0n) nanos += second;
  spec[at] = (timeNs - nanos) / second;
  spec[at + 1] = nanos;
}
