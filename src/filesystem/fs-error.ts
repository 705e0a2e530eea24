const texts: Readonly<Record<string, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  EIO: "input/output error",
  ENXIO: "no such device or address",
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EEXIST: "file exists",
  EXDEV: "invalid cross-device link",
  ENODEV: "no such device",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  ENFILE: "too many open files in system",
  EMFILE: "too many open files",
  ETXTBSY: "text file busy",
  EFBIG: "file too large",
  ENOSPC: "no space left on device",
  EROFS: "read-only file system",
  EMLINK: "too many links",
  ENAMETOOLONG: "file name too long",
  ENOTEMPTY: "directory not empty",
  ELOOP: "too many levels of symbolic links",
  ENODATA: "no data available",
  EOVERFLOW: "value too large for defined data type",
  ENOTSUP: "operation not supported",
  EDQUOT: "disk quota exceeded",
  ESTALE: "stale file handle",
};

/** Text of an errno as Go prints it. */
export function errnoText(code: string): string {
  return texts[code] ?? code;
}

/**
 * A failed file system call with the text Go's os.PathError would have: `[context: ]op path: reason`. The path can be cut
 * back to what the user knows before the error leaves (`trimRoot`).
 */
export class FsError extends Error {
  /** errno name, `ENOENT`. */
  readonly code: string;
  readonly op: string;
  #path: string;
  #context = "";

  constructor(op: string, path: string, code: string, cause?: unknown) {
    super(`${op} ${path}: ${errnoText(code)}`, cause === undefined ? undefined : { cause });
    this.name = "FsError";
    this.code = code;
    this.op = op;
    this.#path = path;
  }

  /** `context: <this>`. */
  wrap(context: string): this {
    this.#context = `${context}: ${this.#context}`;
    return this.#refresh();
  }

  trimRoot(root: string): this {
    if (this.#path.startsWith(root)) this.#path = this.#path.slice(root.length);
    return this.#refresh();
  }

  replacePath(path: string): this {
    this.#path = path;
    return this.#refresh();
  }

  #refresh(): this {
    this.message = `${this.#context}${this.op} ${this.#path}: ${errnoText(this.code)}`;
    return this;
  }
}

export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

export function isMissing(error: unknown): boolean {
  return errnoOf(error) === "ENOENT";
}

/** Runs one file system call; its errno error becomes an FsError with Go's name of the call. */
export function attempt<T>(op: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    // A path with a NUL byte does not get as far as the kernel.
    const code = errnoOf(error) === "ERR_INVALID_ARG_VALUE" ? "EINVAL" : errnoOf(error);
    if (code === undefined || error instanceof FsError || !/^E[A-Z0-9]+$/.test(code)) throw error;
    throw new FsError(op, path, code, error);
  }
}

/** As `attempt` for calls with two paths, whose error (Go os.LinkError) always names both in full. */
export function attemptLink<T>(op: string, from: string, to: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    throw Object.assign(new Error(`${op} ${from} ${to}: ${errnoText(code)}`, { cause: error }), { code });
  }
}

/** Adds context to whatever is thrown. */
export function attemptWith<T>(context: () => string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw withContext(error, context());
  }
}

export function withContext(error: unknown, context: string): Error {
  if (error instanceof FsError) return error.wrap(context);
  if (error instanceof Error) {
    const wrapped: NodeJS.ErrnoException = new Error(`${context}: ${error.message}`, { cause: error });
    const code = errnoOf(error);
    if (code !== undefined) wrapped.code = code;
    return wrapped;
  }
  return new Error(`${context}: ${String(error)}`);
}
