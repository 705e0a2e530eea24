import { createGunzip } from "node:zlib";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { through } from "./through.ts";
import { decompressZstd } from "./zstd-frames.ts";

export type DetectedCompression = "gzip" | "zstd" | "uncompressed";

export interface DecompressOptions {
  /** Bytes of output at most; what is longer is an error. Default: no limit. */
  readonly maxBytes?: number;
}

/** What the first bytes (at least 4) of a blob say it is. */
export function detectCompression(head: Uint8Array): DetectedCompression {
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 0x08) return "gzip";
  const isZstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  // zstd:chunked and pzstd begin with a skippable frame.
  const isSkippable = ((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return isZstd || isSkippable ? "zstd" : "uncompressed";
}

/**
 * The bytes of a gzip or zstd stream, also of several members or frames, or as they are when it is neither.
 * @throws BuildError DataLoss on corrupt input, ResourceExhausted beyond `maxBytes`
 */
export async function* decompress(
  bytes: AsyncIterable<Uint8Array>,
  options: DecompressOptions = {},
): AsyncGenerator<Uint8Array> {
  const input = bytes[Symbol.asyncIterator]();
  let total = 0;
  try {
    const head: Uint8Array[] = [];
    let held = 0;
    while (held < 4) {
      const next = await input.next();
      if (next.done) break;
      head.push(next.value);
      held += next.value.length;
    }
    const all = rejoin(head, input);
    for await (const chunk of decoded(all, detectCompression(Buffer.concat(head)))) {
      total += chunk.length;
      if (total > (options.maxBytes ?? Number.POSITIVE_INFINITY)) {
        throw new BuildError(Code.ResourceExhausted, `Blob expands to more than ${options.maxBytes} bytes`);
      }
      yield chunk;
    }
  } catch (error) {
    throw corruptInput(error);
  } finally {
    await input.return?.();
  }
}

function decoded(bytes: AsyncIterable<Uint8Array>, type: DetectedCompression): AsyncIterable<Uint8Array> {
  switch (type) {
    case "gzip":
      return through(bytes, createGunzip({ chunkSize: 256 * 1024 }));
    case "zstd":
      return decompressZstd(bytes);
    case "uncompressed":
      return bytes;
  }
}

async function* rejoin(head: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

function corruptInput(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  const isZlib = typeof code === "string" && /^(Z_|ZSTD_|ERR_ZLIB|ERR_ZSTD)/.test(code);
  if (!isZlib) return error;
  return new BuildError(Code.DataLoss, `Cannot decompress: ${(error as Error).message}`, { cause: error });
}
