import { readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import koffi from "koffi";

/*
 * System calls that Node does not offer. Blocking, but short; each throws an Error with `code` as node:fs does.
 */

const libc = koffi.load("libc.so.6");
const mountCall = libc.func("int mount(const char*, const char*, const char*, unsigned long, const char*)");
const umountCall = libc.func("int umount2(const char*, int)");
const utimensatCall = libc.func("int utimensat(int, const char*, const int64_t*, int)");

export const MountFlag = {
  ReadOnly: 1,
  NoSuid: 2,
  NoDev: 4,
  NoExec: 8,
  Remount: 32,
  Bind: 4096,
  Recursive: 16384,
} as const;
const detach = 2;
const atFdCwd = -100;

function check(call: string, path: string, result: number): void {
  if (result === 0) return;
  const errno = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
  throw Object.assign(new Error(`${code}: ${call} ${path}`), { code, errno, syscall: call, path });
}

export function mount(source: string, target: string, type: string, flags: number, data = ""): void {
  check("mount", target, mountCall(source, target, type, flags, data));
}

/** Detaches a mount at once; it is gone when its last user is. */
export function unmount(target: string): void {
  check("umount2", target, umountCall(target, detach));
}

const tmpfsMagic = 0x01021994;

/** True when files in the directory are in memory, not on a disk. */
export function isTmpfs(directory: string): boolean {
  return statfsSync(directory).type === tmpfsMagic;
}

/** What is mounted on a directory, e.g. `/dev/sda1`; undefined when nothing is (proc(5), mountinfo). */
export function mountSource(directory: string): string | undefined {
  const path = realpathSync(directory);
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .findLast((candidate) => candidate.split(" ")[4] === path);
  return line?.split(" - ")[1]?.split(" ")[1];
}

export interface FileTimes {
  readonly accessNs: bigint;
  readonly modifyNs: bigint;
}

export function readTimes(path: string): FileTimes {
  const stat = statSync(path, { bigint: true });
  return { accessNs: stat.atimeNs, modifyNs: stat.mtimeNs };
}

/** To the nanosecond; fs.utimes takes seconds as a float and loses some. */
export function setTimes(path: string, times: FileTimes): void {
  const second = 1_000_000_000n;
  const parts = [times.accessNs, times.modifyNs].flatMap((ns) => {
    const rest = ((ns % second) + second) % second;
    return [(ns - rest) / second, rest];
  });
  check("utimensat", path, utimensatCall(atFdCwd, path, BigInt64Array.from(parts), 0));
}
