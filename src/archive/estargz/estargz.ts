import { type Digest, Sha256, sha256 } from "../../core/values/digest.ts";
import type { ByteString } from "../../util/sys/index.ts";
import { checkLevel, gzipMember } from "../compression/compress.ts";
import { inParallel } from "../compression/in-parallel.ts";
import { encodeTarHeader, paddingBytes, TarType, tarHeader, tarTrailer } from "../tar/index.ts";
import { ArchivePieces } from "./archive-pieces.ts";
import { tocName } from "./toc.ts";

/** What an eStargz blob is known by. */
export interface EstargzFacts {
  /** Of all that is in the blob, the table of contents too. */
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
  /** Of the table of contents, a JSON text. */
  readonly tocDigest: Digest;
}

/**
 * An archive as eStargz: gzip members, one for each chunk of a file's content with the headers that follow, an archive with the
 * table of contents, and a footer that says where it begins (stargz-snapshotter docs/estargz.md; BuildKit
 * util/compression/estargz.go). To those who do not know it, it is a gzip.
 */
export class Estargz implements AsyncIterable<Uint8Array> {
  readonly #archive: AsyncIterable<Uint8Array>;
  readonly #level: number;
  #facts: EstargzFacts | undefined;

  /** @throws BuildError InvalidArgument for a level out of range */
  constructor(archive: AsyncIterable<Uint8Array>, level: number | undefined) {
    this.#archive = archive;
    this.#level = checkLevel({ type: "estargz", ...(level === undefined ? {} : { level }) }, -1, 9) ?? -1;
  }

  /** Once all bytes have been read. */
  get facts(): EstargzFacts {
    if (this.#facts === undefined) throw new Error("the blob is not complete");
    return this.#facts;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const pieces = new ArchivePieces();
    const hash = new Sha256();
    const offsets: number[] = [];
    let uncompressedBytes = 0;
    let offset = 0;
    const members = inParallel(pieces.of(this.#archive), (piece) => {
      hash.update(piece);
      uncompressedBytes += piece.length;
      return gzipMember(piece, this.#level);
    });
    for await (const member of members) {
      offsets.push(offset);
      offset += member.length;
      yield member;
    }
    const toc = Buffer.from(pieces.toc.json(offsets));
    const tocArchive = Buffer.concat([
      encodeTarHeader(tarHeader({ name: tocName as ByteString, type: TarType.File, size: toc.length })),
      ...[toc, new Uint8Array(paddingBytes(toc.length)), tarTrailer],
    ]);
    hash.update(tocArchive);
    yield await gzipMember(tocArchive, this.#level);
    yield footer(offset);
    const size = uncompressedBytes + tocArchive.length;
    this.#facts = { diffId: hash.digest(), uncompressedBytes: size, tocDigest: sha256(toc) };
  }
}

/** An empty gzip member of 51 bytes whose extra field names the place of the table of contents. */
function footer(tocOffset: number): Uint8Array {
  const place = `${tocOffset.toString(16).padStart(16, "0")}STARGZ`;
  const header = Uint8Array.of(0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff);
  const extra = Buffer.from([place.length + 4, 0, 0x53, 0x47, place.length, 0]);
  const emptyStoredBlock = Uint8Array.of(1, 0, 0, 0xff, 0xff);
  return Buffer.concat([header, extra, Buffer.from(place), emptyStoredBlock, new Uint8Array(8)]);
}
