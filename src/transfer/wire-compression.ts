import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import type { Digest } from "../core/values/digest.ts";
import { LruMap } from "../util/lru-map.ts";
import type { ByteRange } from "./byte-range.ts";

/** What `accept-encoding` and `content-encoding` say of it (RFC 8878). */
export const zstdEncoding = "zstd";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const params = { [constants.ZSTD_c_compressionLevel]: 1 };

/** Longer ranges are no chunks. */
const longestRange = 8 << 20;
/** What is smaller by less does not pay. */
const leastRatio = 1.2;
/** After one that does not pay, so many go as they are before another is tried. */
const skippedAfterLoss = 15;
/** Compressed chunks that are kept for others who ask for them. */
const keptChunks = 16;
const rememberedBlobs = 256;

/** Parts of blobs made smaller for slow links, each once for all who ask for it. */
export class ChunkCompressor {
  readonly #kept = new LruMap<string, Promise<Uint8Array | undefined>>(keptChunks);
  readonly #skip = new LruMap<Digest, { left: number }>(rememberedBlobs);

  /** @returns undefined where it does not pay */
  async compressed(digest: Digest, path: string, { start, end }: ByteRange): Promise<Uint8Array | undefined> {
    if (end - start > longestRange) return undefined;
    const key = `${digest} ${start}-${end}`;
    const known = this.#kept.peek(key);
    if (known !== undefined) return known;
    const skip = this.#skip.get(digest, () => ({ left: 0 }));
    if (skip.left > 0) {
      skip.left--;
      return undefined;
    }
    const made = readRange(path, start, end - start).then(async (bytes) => {
      const smaller = await compress(bytes, { params });
      if (smaller.length * leastRatio < bytes.length) return smaller;
      skip.left = skippedAfterLoss;
      return undefined;
    });
    made.catch(() => this.#kept.delete(key));
    this.#kept.set(key, made);
    return made;
  }
}

async function readRange(path: string, start: number, length: number): Promise<Uint8Array> {
  await using file = await open(path);
  const bytes = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await file.read(bytes, 0, length, start);
  return bytes.subarray(0, bytesRead);
}

/** @throws Error when it is no zstd or gives more than `length` bytes */
export async function decompressed(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  return decompress(bytes, { maxOutputLength: length });
}
