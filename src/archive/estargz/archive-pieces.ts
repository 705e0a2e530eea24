import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { Sha256 } from "../../core/values/digest.ts";
import { type TarEntry, TarReader, TarType } from "../tar/index.ts";
import { Toc, type TocEntry, tocName } from "./toc.ts";

const chunkBytes = 4 * 1024 * 1024;

/** What of a file is still to come. */
interface OpenContent {
  readonly entry: TocEntry;
  readonly size: number;
  readonly hash: Sha256;
  left: number;
  chunk: { readonly entry: TocEntry; readonly hash: Sha256; left: number };
}

/**
 * Cuts an archive into pieces that can be compressed on their own: content begins a piece, and does so again every 4 MiB. The
 * bytes stay what they are.
 */
export class ArchivePieces {
  readonly toc = new Toc();
  /** Of the piece that is being filled. */
  #parts: Uint8Array[] = [];
  #size = 0;
  #full: Uint8Array[] = [];
  /** Pieces before the one being filled. */
  #count = 0;
  #content: OpenContent | undefined;

  /** Call once. @throws BuildError InvalidArgument for an archive that cannot be indexed */
  async *of(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const reader = new TarReader(archive, {}, (bytes) => this.#add(bytes));
    try {
      for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
        this.#begin(entry);
        if (this.#content !== undefined) for await (const _data of entry.content()) yield* this.#takeFull();
        yield* this.#takeFull();
      }
      this.#cut();
      yield* this.#takeFull();
    } finally {
      await reader.cancel();
    }
  }

  #begin({ header, sparse }: TarEntry): void {
    if (header.name.replace(/^(\.?\/)+/, "") === tocName) {
      throw invalid(`a layer with a file ${tocName} cannot be compressed as estargz`);
    }
    if (sparse) throw invalid("a layer with sparse files cannot be compressed as estargz");
    let entry: TocEntry;
    try {
      entry = this.toc.add(header);
    } catch (error) {
      throw invalid((error as Error).message);
    }
    if (header.type !== TarType.File) return;
    const hash = new Sha256();
    if (header.size === 0) entry.digest = hash.digest();
    else {
      const { size } = header;
      this.#content = { entry, size, hash, left: size, chunk: this.#beginChunk(entry, size, size) };
    }
  }

  #beginChunk(entry: TocEntry, size: number, left: number): OpenContent["chunk"] {
    this.#cut();
    entry.piece = this.#count;
    entry.chunkOffset = size - left;
    if (left >= chunkBytes) entry.chunkSize = chunkBytes;
    return { entry, hash: new Sha256(), left: Math.min(left, chunkBytes) };
  }

  #add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const content = this.#content;
      const part = bytes.slice(at, content === undefined ? undefined : at + content.chunk.left);
      this.#parts.push(part);
      this.#size += part.length;
      at += part.length;
      if (content !== undefined) this.#hash(content, part);
      else if (this.#size >= chunkBytes) this.#cut();
    }
  }

  #hash(content: OpenContent, part: Uint8Array): void {
    const { chunk, entry, hash } = content;
    hash.update(part);
    chunk.hash.update(part);
    content.left -= part.length;
    chunk.left -= part.length;
    if (chunk.left > 0) return;
    chunk.entry.chunkDigest = chunk.hash.digest();
    if (content.left > 0) {
      content.chunk = this.#beginChunk(this.toc.addChunk(entry.name), content.size, content.left);
    } else {
      entry.digest = hash.digest();
      this.#content = undefined;
    }
  }

  #cut(): void {
    if (this.#size === 0) return;
    this.#full.push(Buffer.concat(this.#parts));
    this.#parts = [];
    this.#size = 0;
    this.#count++;
  }

  #takeFull(): Uint8Array[] {
    return this.#full.splice(0);
  }
}

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, message);
}
