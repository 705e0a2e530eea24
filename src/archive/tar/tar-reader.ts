import { type ByteString, byteStringFrom } from "../../util/sys/index.ts";
import { ByteSource } from "../byte-source.ts";
import {
  applyPaxRecords,
  decimal,
  decodeHeaderBlock,
  decodePaxRecords,
  finishHeader,
  isZeroBlock,
  number,
  type RawHeader,
} from "./decode-header.ts";
import { checkSegments, parseSparseMap, readGnuSparseMap, readPaxSparseMap, type SparseSegment } from "./sparse-map.ts";
import { TarError } from "./tar-error.ts";
import { blockBytes, isHeaderOnly, paddingBytes, type TarFormat, type TarHeader, TarType } from "./tar-header.ts";

export interface TarReaderLimits {
  /** Longest extended header or long name; Go's limit, 1 MiB, by default. */
  readonly maxHeaderBytes?: number;
  /** Largest file, after expanding holes. Default 1 TiB. */
  readonly maxFileBytes?: number;
  /** Entries, global headers included. Default 10 million. */
  readonly maxEntries?: number;
}

/** An entry, valid until the next one is asked for. */
export interface TarEntry {
  readonly header: TarHeader;
  /** True when the file has holes that the archive does not hold. */
  readonly sparse: boolean;
  /** Content with its place in the file; holes are left out. Iterate once; a chunk is valid until the next. */
  segments(): AsyncIterable<{ readonly offset: number; readonly data: Uint8Array }>;
  /** Content with holes as zeros. */
  content(): AsyncIterable<Uint8Array>;
}

const allFormats: readonly TarFormat[] = ["ustar", "pax", "gnu"];
const zeros = new Uint8Array(64 * 1024);

/**
 * Reads ustar, PAX, GNU and v7 archives as a stream: long names, numbers in base 256, nanosecond times, extended attributes
 * with their exact bytes, sparse files of all four kinds. Understands and rejects what Go's archive/tar does (reader.go).
 */
export class TarReader {
  readonly #source: ByteSource;
  readonly #limits: Required<TarReaderLimits>;
  #remaining = 0;
  #padding = 0;
  #entries = 0;

  /** @param onRead sees the archive's own bytes as far as they are read, in order; they are valid during the call */
  constructor(bytes: AsyncIterable<Uint8Array>, limits: TarReaderLimits = {}, onRead?: (bytes: Uint8Array) => void) {
    this.#source = new ByteSource(bytes, onRead);
    this.#limits = {
      maxHeaderBytes: limits.maxHeaderBytes ?? 1024 * 1024,
      maxFileBytes: limits.maxFileBytes ?? 2 ** 40,
      maxEntries: limits.maxEntries ?? 10_000_000,
    };
  }

  /**
   * The next entry, skipping what is left of the current one. At the end the input is read to its own end.
   * @returns undefined at the end
   * @throws TarError
   */
  async next(): Promise<TarEntry | undefined> {
    const formats = new Set<TarFormat>(allFormats);
    let pax: ReadonlyMap<ByteString, ByteString> = new Map();
    let longName: ByteString | undefined;
    let longLink: ByteString | undefined;
    for (;;) {
      await this.#skip(this.#remaining + this.#padding);
      this.#remaining = 0;
      this.#padding = 0;
      const block = await this.#readHeaderBlock();
      if (block === undefined) return undefined;
      if (++this.#entries > this.#limits.maxEntries) throw new TarError("too many entries");
      const raw = decodeHeaderBlock(block);
      this.#begin(raw);
      keep(formats, raw.formats);
      switch (raw.type) {
        case "x":
        case "g":
          keep(formats, new Set<TarFormat>(["pax"]));
          pax = await this.#readPax(raw);
          if (raw.type === TarType.Global) return this.#entry(raw, pax, formats, undefined);
          continue;
        case "L":
        case "K": {
          keep(formats, new Set<TarFormat>(["gnu"]));
          const value = cString(await this.#readSpecial(raw));
          if (raw.type === "L") longName = value;
          else longLink = value;
          continue;
        }
        default:
          return this.#finish(raw, block, { pax, longName, longLink, formats });
      }
    }
  }

  /** Ends reading early. */
  async cancel(): Promise<void> {
    await this.#source.cancel();
  }

  async #finish(
    raw: RawHeader,
    block: Uint8Array,
    extended: {
      readonly pax: ReadonlyMap<ByteString, ByteString>;
      readonly longName: ByteString | undefined;
      readonly longLink: ByteString | undefined;
      readonly formats: Set<TarFormat>;
    },
  ): Promise<TarEntry> {
    applyPaxRecords(raw, extended.pax);
    if (extended.longName) raw.name = extended.longName;
    if (extended.longLink) raw.linkname = extended.longLink;
    if (raw.type === "\0" || raw.type === "7") {
      raw.type = raw.name.endsWith("/") ? TarType.Directory : TarType.File;
    }
    this.#begin(raw);
    const segments = await this.#readSparse(raw, block, extended.pax);
    if (raw.size > this.#limits.maxFileBytes) throw new TarError(`file of ${raw.size} bytes is too large`);
    if (extended.formats.has("ustar") && extended.formats.has("pax")) extended.formats.delete("pax");
    return this.#entry(raw, extended.pax, extended.formats, segments);
  }

  /** Sets the extent of the data that follows a header. */
  #begin(raw: RawHeader): void {
    if (raw.size < 0) throw new TarError("invalid tar header");
    this.#remaining = isHeaderOnly(raw.type) ? 0 : raw.size;
    this.#padding = paddingBytes(this.#remaining);
  }

  async #readSparse(
    raw: RawHeader,
    block: Uint8Array,
    pax: ReadonlyMap<ByteString, ByteString>,
  ): Promise<SparseSegment[] | undefined> {
    const record = (key: string) => pax.get(`GNU.sparse.${key}` as ByteString);
    let segments: SparseSegment[];
    if (raw.type === "S") {
      if (!raw.formats.has("gnu")) throw new TarError("invalid tar header");
      raw.size = number(block, 483, 12);
      raw.type = TarType.File;
      segments = await readGnuSparseMap(block, async () => (await this.#read(blockBytes)).slice());
    } else {
      const version = `${record("major") ?? ""}.${record("minor") ?? ""}`;
      const inRecords = version === "0.0" || version === "0.1" || (version === "." && record("map"));
      if (!inRecords && version !== "1.0") return undefined;
      const size = record("size") ?? record("realsize");
      raw.name = record("name") || raw.name;
      if (size) raw.size = decimal(size);
      if (inRecords) {
        segments = parseSparseMap(pax);
      } else {
        const map = await readPaxSparseMap(() => {
          this.#remaining -= blockBytes;
          return this.#read(blockBytes);
        });
        segments = map.segments;
      }
    }
    checkSegments(segments, raw.size, this.#remaining);
    return segments;
  }

  #entry(
    raw: RawHeader,
    pax: ReadonlyMap<ByteString, ByteString>,
    formats: ReadonlySet<TarFormat>,
    segments: readonly SparseSegment[] | undefined,
  ): TarEntry {
    const header = finishHeader(raw, pax, formats);
    const placed = () => this.#data(segments ?? [{ offset: 0, length: this.#remaining }]);
    return {
      header,
      sparse: segments !== undefined,
      segments: placed,
      content: () => expand(placed(), segments === undefined ? 0 : header.size),
    };
  }

  async *#data(segments: readonly SparseSegment[]): AsyncGenerator<{ offset: number; data: Uint8Array }> {
    for (const segment of segments) {
      let { offset, length } = segment;
      while (length > 0) {
        if (this.#source.available === 0 && !(await this.#source.fill(1))) throw new TarError("unexpected EOF");
        const data = this.#source.take(Math.min(length, this.#remaining));
        this.#remaining -= data.length;
        length -= data.length;
        yield { offset, data };
        offset += data.length;
      }
    }
  }

  async #readHeaderBlock(): Promise<Uint8Array | undefined> {
    const first = await this.#readBlockOrEnd();
    if (first === undefined || !isZeroBlock(first)) return first?.slice();
    const next = await this.#readBlockOrEnd();
    if (next !== undefined && !isZeroBlock(next)) throw new TarError("invalid tar header");
    await this.#source.drain();
    return undefined;
  }

  async #readBlockOrEnd(): Promise<Uint8Array | undefined> {
    if (await this.#source.fill(blockBytes)) return this.#source.take(blockBytes);
    if (this.#source.available > 0) throw new TarError("unexpected EOF");
    return undefined;
  }

  async #read(length: number): Promise<Uint8Array> {
    if (!(await this.#source.fill(length))) throw new TarError("unexpected EOF");
    return this.#source.take(length);
  }

  async #skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      if (this.#source.available === 0 && !(await this.#source.fill(1))) throw new TarError("unexpected EOF");
      left -= this.#source.take(left).length;
    }
  }

  async #readSpecial(raw: RawHeader): Promise<Uint8Array> {
    if (raw.size > this.#limits.maxHeaderBytes) throw new TarError("extended header too long");
    this.#remaining = 0;
    return this.#read(raw.size);
  }

  async #readPax(raw: RawHeader): Promise<Map<ByteString, ByteString>> {
    const records = new Map<ByteString, ByteString>();
    const sparse: ByteString[] = [];
    for (const [key, value] of decodePaxRecords(await this.#readSpecial(raw))) {
      // PAX 0.0 repeats these two; joined they are what 0.1 writes.
      if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") sparse.push(value);
      else records.set(key, value);
    }
    if (sparse.length > 0) records.set("GNU.sparse.map" as ByteString, sparse.join(",") as ByteString);
    return records;
  }
}

function keep(formats: Set<TarFormat>, only: ReadonlySet<TarFormat>): void {
  for (const format of formats) if (!only.has(format)) formats.delete(format);
}

function cString(data: Uint8Array): ByteString {
  const end = data.indexOf(0);
  return byteStringFrom(end < 0 ? data : data.subarray(0, end));
}

async function* expand(
  segments: AsyncIterable<{ readonly offset: number; readonly data: Uint8Array }>,
  size: number,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const { offset, data } of segments) {
    yield* zeroChunks(offset - at);
    yield data;
    at = offset + data.length;
  }
  yield* zeroChunks(size - at);
}

function* zeroChunks(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= zeros.length) yield zeros.subarray(0, left);
}
