import { type FileHandle, open, rm } from "node:fs/promises";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Digest } from "../../core/values/digest.ts";
import { ChunkLayout } from "./chunk-layout.ts";
import { ChunkSet } from "./chunk-set.ts";
import { WakeUp } from "./wake-up.ts";

/** Bytes read at once by who wants the blob in order. */
const readSizeBytes = 1 << 20;
const longMs = 60_000;

/** A blob that is being received, as a file with holes: chunks come in any order, are verified one by one, and can be read at once. */
export class PartialBlob implements AsyncDisposable {
  readonly digest: Digest;
  readonly layout: ChunkLayout;
  readonly path: string;
  readonly have: ChunkSet;
  /** sha256 of each chunk in base64, from the first on, as holders of the whole named them. */
  readonly digests: string[] = [];
  /** Called at each chunk that comes. */
  readonly changed = new WakeUp();
  readonly #file: FileHandle;
  #closed = false;

  private constructor(digest: Digest, layout: ChunkLayout, path: string, file: FileHandle) {
    this.digest = digest;
    this.layout = layout;
    this.path = path;
    this.have = new ChunkSet(layout.count);
    this.#file = file;
  }

  /** @param path a file that is made, and removed with this */
  static async create(digest: Digest, size: number, path: string): Promise<PartialBlob> {
    return new PartialBlob(digest, new ChunkLayout(size), path, await open(path, "w+", 0o600));
  }

  /** Keeps a chunk whose bytes are verified. */
  async put(chunk: number, bytes: Uint8Array): Promise<void> {
    if (this.have.has(chunk)) return;
    await this.#file.write(bytes, 0, bytes.length, this.layout.start(chunk));
    this.have.add(chunk);
    this.changed.all();
  }

  /** True when all bytes from `start` to before `end` are here. */
  covers(start: number, end: number): boolean {
    if (this.#closed || end > this.layout.size) return false;
    for (let chunk = this.layout.chunkAt(start); this.layout.start(chunk) < end; chunk++) {
      if (!this.have.has(chunk)) return false;
    }
    return true;
  }

  /** The bytes in order from `offset`, each as soon as its chunk is here. Rejects with the signal's reason. */
  async *read(offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = offset; at < this.layout.size; ) {
      const chunk = this.layout.chunkAt(at);
      while (!this.have.has(chunk)) {
        signal.throwIfAborted();
        await this.changed.wait(longMs, signal);
      }
      signal.throwIfAborted();
      if (this.#closed)
        throw new BuildError(Code.DataLoss, `blob ${this.digest} was given up`, { infrastructure: true });
      const end = this.layout.start(chunk) + this.layout.length(chunk);
      const buffer = Buffer.allocUnsafeSlow(Math.min(readSizeBytes, end - at));
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new BuildError(Code.DataLoss, `blob ${this.digest}: its file has become shorter`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
    await rm(this.path, { force: true });
  }
}
