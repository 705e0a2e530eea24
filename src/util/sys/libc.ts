import koffi from "koffi";
import { type ByteString, toText } from "./byte-string.ts";
import { errnoError } from "./errno-error.ts";

/** A path of a system call: text (sent as UTF-8) or raw bytes. */
export type SysPath = string | Uint8Array;

type NativeFunction = (...args: readonly unknown[]) => number | bigint;

/** The C library the process already runs on; works for glibc and musl alike. */
const libc = koffi.load(null);

/** Binds a function of the C library. `result` and `args` are koffi type names. */
export function bind(name: string, result: string, args: readonly string[]): NativeFunction {
  return libc.func(name, result, [...args]) as NativeFunction;
}

/** NUL-terminated bytes of a path. @throws Error EINVAL on an embedded NUL */
export function cPath(path: SysPath): Uint8Array {
  const bytes = typeof path === "string" ? Buffer.from(path, "utf8") : path;
  if (bytes.includes(0)) throw errnoError("open", 22, pathText(path));
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

export function pathText(path: SysPath): string {
  return typeof path === "string" ? path : toText(Buffer.from(path).toString("latin1") as ByteString);
}

/** Result of a call which reports failure as −1 and errno. @throws errno error */
export function check(syscall: string, result: number | bigint, path?: SysPath): number {
  const value = Number(result);
  if (value === -1) throw errnoError(syscall, koffi.errno(), path === undefined ? undefined : pathText(path));
  return value;
}
