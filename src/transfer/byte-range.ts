import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

export interface ByteRange {
  readonly start: number;
  /** The first byte that is no more of it. */
  readonly end: number;
}

/**
 * What a `Range` header asks of a blob of `size` bytes: `bytes=N-` or `bytes=N-M` (RFC 9110, 14.1.2); anything else the whole.
 * @throws BuildError OutOfRange when it begins beyond the end
 */
export function byteRange(header: string | undefined, size: number): ByteRange {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "") ?? [];
  const start = Number(first ?? 0);
  if (start > size) throw new BuildError(Code.OutOfRange, `the blob has only ${size} bytes, not ${start}`);
  return { start, end: last ? Math.max(start, Math.min(size, Number(last) + 1)) : size };
}
