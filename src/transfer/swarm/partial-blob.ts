import { type FileHandle, open, rm } from "node:fs/promises";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Digest } from "../../core/values/digest.ts";
import { type PiecePool, pieceBytes } from "../piece-pool.ts";
import { ChunkLayout } from "./chunk-layout.ts";
import { ChunkSet } from "./chunk-set.ts";
import { WakeUp } from "./wake-up.ts";

const longMs = 60_000;
/** Kept in memory for who reads in order, close behind what comes. */
const mostHeldBytes = 32 << 20;

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
  readonly #pool: PiecePool;
  /** The latest pieces that nobody has read yet, by their place in the blob. */
  readonly #held = new Map<number, Uint8Array>();
  #heldBytes = 0;
  #closed = false;

  private constructor(digest: Digest, layout: ChunkLayout, path: string, file: FileHandle, pool: PiecePool) {
    this.digest = digest;
    this.layout = layout;
    this.path = path;
    this.have = new ChunkSet(layout.count);
    this.#file = file;
    this.#pool = pool;
  }

  /**
   * @param path a file that is made, and removed with this
   * @param pool where the pieces of chunks come from
   */
  static async create(digest: Digest, size: number, path: string, pool: PiecePool): Promise<PartialBlob> {
    return new PartialBlob(digest, new ChunkLayout(size), path, await open(path, "w+", 0o600), pool);
  }

  /**
   * Keeps a chunk whose bytes are verified.
   * @returns false when it was here already; else the pieces are not the caller's any more
   */
  async put(chunk: number, pieces: readonly Uint8Array[]): Promise<boolean> {
    if (this.have.has(chunk)) return false;
    const { bytesWritten } = await this.#file.writev([...pieces], this.layout.start(chunk));
    if (bytesWritten < this.layout.length(chunk)) {
      throw new Error(`no room for chunk ${chunk} of blob ${this.digest} in ${this.path}`);
    }
    // Another read of it may have ended meanwhile.
    if (this.#closed || this.have.has(chunk)) return false;
    this.#hold(chunk, pieces);
    this.have.add(chunk);
    this.changed.all();
    return true;
  }

  /** True when all bytes from `start` to before `end` are here. */
  covers(start: number, end: number): boolean {
    if (this.#closed || end > this.layout.size) return false;
    for (let chunk = this.layout.chunkAt(start); this.layout.start(chunk) < end; chunk++) {
      if (!this.have.has(chunk)) return false;
    }
    return true;
  }

  /**
   * The bytes in order from `offset`, each as soon as its chunk is here. A piece is the caller's until it asks for the next one.
   * Rejects with the signal's reason.
   */
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
      const piece = this.#takeHeld(at) ?? (await this.#readFile(chunk, at));
      try {
        at += piece.length;
        yield piece;
      } finally {
        this.#pool.give([piece]);
      }
    }
  }

  #hold(chunk: number, pieces: readonly Uint8Array[]): void {
    let at = this.layout.start(chunk);
    for (const piece of pieces) {
      this.#held.set(at, piece);
      at += piece.length;
      this.#heldBytes += piece.length;
    }
    for (const start of this.#held.keys()) {
      if (this.#heldBytes <= mostHeldBytes) return;
      const piece = this.#takeHeld(start);
      if (piece !== undefined) this.#pool.give([piece]);
    }
  }

  #takeHeld(start: number): Uint8Array | undefined {
    const piece = this.#held.get(start);
    if (this.#held.delete(start)) this.#heldBytes -= piece?.length ?? 0;
    return piece;
  }

  async #readFile(chunk: number, at: number): Promise<Uint8Array> {
    const end = this.layout.start(chunk) + this.layout.length(chunk);
    const [piece = new Uint8Array()] = this.#pool.take(Math.min(pieceBytes, end - at));
    const { bytesRead } = await this.#file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) throw new BuildError(Code.DataLoss, `blob ${this.digest}: its file has become shorter`);
    return piece.subarray(0, bytesRead);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#held.clear();
    await this.#file.close();
    await rm(this.path, { force: true });
  }
}
