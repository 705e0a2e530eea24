import { createHash } from "node:crypto";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Digest } from "../../core/values/digest.ts";

/** One place a blob can be read from. */
export interface BlobSource {
  readonly name: string;
  open(offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Called when all bytes came from here and were wrong, so that they are not offered again. */
  disown?(signal: AbortSignal): Promise<void>;
}

export interface ExpectedBlob {
  readonly digest: Digest;
  readonly size: number;
}

export interface ResumingReadOptions {
  /** False when who consumes the bytes computes their digest anyway, and sees to it that a wrong one is disowned. */
  readonly verify?: boolean;
}

/**
 * A blob's bytes, verified. A source that breaks is left for the next, which goes on at the byte where the first one stopped;
 * each source gets a second chance after the others. Ends without error only when size and digest are right, so a consumer
 * must treat what it got as unproven until the iteration has ended.
 * @throws BuildError DataLoss when the bytes are wrong; else the last source's error
 */
export async function* resumingRead(
  expected: ExpectedBlob,
  sources: readonly BlobSource[],
  signal: AbortSignal,
  { verify = true }: ResumingReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = verify ? createHash("sha256") : undefined;
  let offset = 0;
  let failure: unknown = new BuildError(Code.NotFound, `no source for blob ${expected.digest}`, {
    infrastructure: true,
  });
  for (const source of [...sources, ...sources]) {
    const alone = offset === 0;
    try {
      for await (const chunk of source.open(offset, signal)) {
        offset += chunk.length;
        if (offset > expected.size) throw lied(expected, source, `more than the expected ${expected.size} bytes`);
        hash?.update(chunk);
        yield chunk;
      }
      if (offset < expected.size) throw lied(expected, source, `only ${offset} of ${expected.size} bytes`);
    } catch (error) {
      signal.throwIfAborted();
      if (offset > expected.size) throw error;
      failure = error;
      // All bytes came; what broke after them does not matter.
      if (offset < expected.size) continue;
    }
    if (hash === undefined) return;
    const actual = `sha256:${hash.digest("hex")}`;
    if (actual !== expected.digest) {
      // Whether or not the source can be told, the bytes are wrong.
      if (alone) await source.disown?.(signal).catch(() => {});
      throw lied(expected, source, `content with digest ${actual}`);
    }
    return;
  }
  throw failure;
}

function lied(expected: ExpectedBlob, source: BlobSource, what: string): BuildError {
  return new BuildError(Code.DataLoss, `blob ${expected.digest} from ${source.name}: got ${what}`, {
    infrastructure: true,
  });
}
