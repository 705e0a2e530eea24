import { createZstdDecompress } from "node:zlib";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { ByteSource } from "../byte-source.ts";
import { through } from "./through.ts";

const skippableMagic = 0x184d2a50;
const frameMagic = 0xfd2fb528;
const outputBytes = 256 * 1024;

/**
 * Decompresses a zstd stream of any number of frames (RFC 8878, section 3.1), as parallel compressors and zstd:chunked write
 * them. node:zlib stops after the first frame, so the frames' ends are found here, from their block headers.
 */
export async function* decompressZstd(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(bytes);
  try {
    while (await source.fill(1)) {
      await need(source, 8);
      const magic = readUint(source.peek(4));
      if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
        source.take(4);
        await skip(source, readUint(source.take(4)));
      } else if (magic === frameMagic) {
        yield* through(frameBytes(source), createZstdDecompress({ chunkSize: outputBytes }));
      } else {
        throw new BuildError(Code.DataLoss, "Cannot decompress: no zstd frame where one should begin");
      }
    }
  } finally {
    await source.cancel();
  }
}

async function* frameBytes(source: ByteSource): AsyncGenerator<Uint8Array> {
  const descriptor = source.peek(5)[4] ?? 0;
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  yield await taken(source, 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes + contentSizeBytes);
  for (let last = false; !last; ) {
    await need(source, 3);
    const header = readUint(source.peek(3));
    last = (header & 1) === 1;
    const isRle = ((header >> 1) & 3) === 1;
    yield await taken(source, 3 + (isRle ? 1 : header >> 3));
  }
  if ((descriptor & 4) !== 0) yield await taken(source, 4);
}

async function taken(source: ByteSource, length: number): Promise<Uint8Array> {
  await need(source, length);
  return source.take(length);
}

async function need(source: ByteSource, length: number): Promise<void> {
  if (!(await source.fill(length)))
    throw new BuildError(Code.DataLoss, "Cannot decompress: unexpected end of zstd data");
}

async function skip(source: ByteSource, length: number): Promise<void> {
  for (let left = length; left > 0; ) {
    await need(source, 1);
    left -= source.take(left).length;
  }
}

function readUint(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}
