import { constants } from "node:os";

const codes = new Map<number, string>(Object.entries(constants.errno).map(([code, errno]) => [errno, code]));

/** An errno of a system call as Node's own fs errors look: `.code` (`ENOENT`), `.errno` (negative), `.syscall`, `.path`. */
export function errnoError(syscall: string, errno: number, path?: string): NodeJS.ErrnoException {
  const code = codes.get(errno) ?? `E${errno}`;
  const error: NodeJS.ErrnoException = new Error(`${code}: ${syscall}${path === undefined ? "" : ` '${path}'`}`);
  error.code = code;
  error.errno = -errno;
  error.syscall = syscall;
  if (path !== undefined) error.path = path;
  return error;
}

/** True when `error` is an errno error with one of these codes. */
export function hasErrno(error: unknown, ...wanted: readonly string[]): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" && wanted.includes(code);
}
