import type { ByteString } from "../../util/sys/index.ts";
import { decimal, number } from "./decode-header.ts";
import { TarError } from "./tar-error.ts";
import { blockBytes } from "./tar-header.ts";

/** Data of a sparse file: where it goes. Everything else is a hole. */
export interface SparseSegment {
  readonly offset: number;
  readonly length: number;
}

const maxSegments = 1_000_000;
const maxMapBytes = 1024 * 1024;

/** Reads blocks of the entry's data, or of what follows its header. */
export type ReadBlock = () => Promise<Uint8Array>;

/** GNU type `S`: four segments in the header, more in extension blocks after it. */
export async function readGnuSparseMap(header: Uint8Array, readBlock: ReadBlock): Promise<SparseSegment[]> {
  const segments: SparseSegment[] = [];
  let block = header;
  let at = 386;
  let count = 4;
  for (let bytes = 0; bytes < maxMapBytes; bytes += blockBytes) {
    for (let index = 0; index < count; index++) {
      const entry = at + index * 24;
      if (block[entry] === 0) break;
      segments.push({ offset: number(block, entry, 12), length: number(block, entry + 12, 12) });
    }
    if ((block[at + count * 24] ?? 0) === 0) return segments;
    block = await readBlock();
    at = 0;
    count = 21;
  }
  throw new TarError("sparse map too long");
}

/** PAX 0.0 and 0.1: `offset,length,…` in a record. */
export function parseSparseMap(records: ReadonlyMap<ByteString, ByteString>): SparseSegment[] {
  const map = records.get("GNU.sparse.map" as ByteString) ?? "";
  const numbers = map === "" ? [] : map.split(",").map(decimal);
  const blocks = records.get("GNU.sparse.numblocks" as ByteString);
  if (numbers.length % 2 !== 0 || (blocks !== undefined && decimal(blocks) * 2 !== numbers.length)) {
    throw new TarError("invalid sparse map");
  }
  return pair(numbers);
}

/** PAX 1.0: decimal lines before the data, padded to a block. @returns also how many bytes the map took */
export async function readPaxSparseMap(readBlock: ReadBlock): Promise<{ segments: SparseSegment[]; bytes: number }> {
  let text = "";
  let bytes = 0;
  let wanted = 1;
  for (;;) {
    const lines = text.split("\n");
    if (lines.length > 1) {
      const count = decimal(lines[0] ?? "");
      if (count < 0 || count > maxSegments) throw new TarError("invalid sparse map");
      wanted = 1 + 2 * count;
      if (lines.length > wanted) return { segments: pair(lines.slice(1, wanted).map(decimal)), bytes };
    }
    bytes += blockBytes;
    if (bytes > maxMapBytes) throw new TarError("sparse map too long");
    text += Buffer.from(await readBlock()).toString("latin1");
  }
}

function pair(numbers: readonly number[]): SparseSegment[] {
  const segments: SparseSegment[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    segments.push({ offset: numbers[index] ?? 0, length: numbers[index + 1] ?? 0 });
  }
  return segments;
}

/** In order, apart, within the file, and as long as the data that is there. @throws TarError */
export function checkSegments(segments: readonly SparseSegment[], size: number, dataBytes: number): void {
  let end = 0;
  let total = 0;
  for (const { offset, length } of segments) {
    if (offset < end || length < 0 || offset + length > size) throw new TarError("invalid sparse map");
    end = offset + length;
    total += length;
  }
  if (segments.length > maxSegments || total !== dataBytes) throw new TarError("invalid sparse map");
}
