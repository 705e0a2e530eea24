import { constants, type Dirent } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { BlobStat, FileContentStore } from "../core/seams/content-store.ts";
import { type Digest, digestHex, isDigest, parseDigest, Sha256 } from "../core/values/digest.ts";
import { steadyClock } from "../util/system-clock.ts";

export interface LocalContentStoreOptions {
  /** Called with the size of each blob stored; must be quick. */
  readonly onStored?: (sizeBytes: number) => void;
  /** Bytes read at once; default 1 MiB (measured best for hashing and sending). */
  readonly chunkBytes?: number;
  /** False skips fsync before a blob becomes visible: faster, but a power cut may leave an empty blob. Default true. */
  readonly durable?: boolean;
}

/** Most blobs are small, and a large buffer for each would cost more than reading it. */
const firstChunkBytes = 64 * 1024;

/**
 * Blobs as files, in the layout of an OCI image:
 *
 *     blobs/sha256/<hex>     whole, verified blobs
 *     ingest/<name>          being written; emptied at open, except resumable ones
 *     ingest/resume-<hex>    first bytes of a blob whose transfer broke off
 *     quarantine/<hex>       blobs found to be corrupt, kept for inspection
 */
export class LocalContentStore implements FileContentStore {
  readonly root: string;
  readonly #chunkBytes: number;
  readonly #durable: boolean;
  readonly #onStored: (sizeBytes: number) => void;
  #nextIngest = 0;

  private constructor(root: string, options: LocalContentStoreOptions) {
    this.root = resolve(root);
    this.#chunkBytes = options.chunkBytes ?? 1024 * 1024;
    this.#durable = options.durable ?? true;
    this.#onStored = options.onStored ?? (() => {});
  }

  static async open(root: string, options: LocalContentStoreOptions = {}): Promise<LocalContentStore> {
    const store = new LocalContentStore(root, options);
    await mkdir(join(store.root, "blobs", "sha256"), { recursive: true });
    await mkdir(join(store.root, "ingest"), { recursive: true });
    for (const name of await readdir(join(store.root, "ingest"))) {
      if (!name.startsWith("resume-")) await unlink(join(store.root, "ingest", name));
    }
    return store;
  }

  path(digest: Digest): string {
    return join(this.root, "blobs", digest.slice(0, digest.indexOf(":")), digestHex(parseDigest(digest)));
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    try {
      const { size, mtimeMs } = await stat(this.path(digest));
      return { digest, size, createdAt: mtimeMs };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw BuildError.from(error);
    }
  }

  async *read(
    digest: Digest,
    range: { readonly offset?: number; readonly length?: number } = {},
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    await using file = await this.#openBlob(digest);
    let at = range.offset ?? 0;
    const end = range.length === undefined ? Number.POSITIVE_INFINITY : at + range.length;
    let chunkBytes = Math.min(firstChunkBytes, this.#chunkBytes);
    while (at < end) {
      const buffer = new Uint8Array(Math.min(chunkBytes, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      signal?.throwIfAborted();
      if (bytesRead === 0) return;
      if (bytesRead === buffer.length) chunkBytes = this.#chunkBytes;
      at += bytesRead;
      yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
    }
  }

  async #openBlob(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.path(digest), constants.O_RDONLY);
    } catch (error) {
      if (isAbsent(error)) throw new BuildError(Code.NotFound, `content ${digest}: not found`, { cause: error });
      throw BuildError.from(error);
    }
  }

  async write(
    bytes: AsyncIterable<Uint8Array>,
    expect: { readonly digest?: Digest; readonly size?: number } = {},
    signal?: AbortSignal,
  ): Promise<BlobStat> {
    const path = join(this.root, "ingest", `${process.pid}-${this.#nextIngest++}`);
    try {
      await using file = await open(path, "wx", 0o644);
      const blob = await this.#fill(file, bytes, { hash: new Sha256(), size: 0 }, expect.size, signal);
      this.#verify(blob, expect);
      return await this.#publish(file, path, blob);
    } catch (error) {
      await rm(path, { force: true });
      throw error instanceof BuildError ? error : wrapped(error, signal);
    }
  }

  /**
   * Stores a blob whose transfer may break off: what has arrived is kept, also over a restart, and the next call asks
   * `fetchFrom` for the rest only. Call for one digest at a time.
   *
   * @param fetchFrom bytes of the blob from an offset on
   * @throws BuildError DataLoss when the whole does not match; nothing is kept then
   */
  async resume(
    blob: { readonly digest: Digest; readonly size: number },
    fetchFrom: (offset: number) => AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<BlobStat> {
    const path = join(this.root, "ingest", `resume-${digestHex(blob.digest)}`);
    await using file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
    const held = await this.#rehash(file);
    const filled = await this.#fill(file, fetchFrom(held.size), held, blob.size, signal);
    try {
      this.#verify(filled, blob);
      return await this.#publish(file, path, filled);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  async #rehash(file: FileHandle): Promise<{ hash: Sha256; size: number }> {
    const hash = new Sha256();
    const buffer = new Uint8Array(this.#chunkBytes);
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, size);
      if (bytesRead === 0) return { hash, size };
      hash.update(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
  }

  async #fill(
    file: FileHandle,
    bytes: AsyncIterable<Uint8Array>,
    start: { hash: Sha256; size: number },
    maxBytes: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ digest: Digest; size: number }> {
    const { hash } = start;
    let { size } = start;
    for await (const chunk of bytes) {
      signal?.throwIfAborted();
      if (maxBytes !== undefined && size + chunk.length > maxBytes) {
        throw new BuildError(Code.DataLoss, `Content is longer than the expected ${maxBytes} bytes`);
      }
      hash.update(chunk);
      await writeAll(file, chunk, size);
      size += chunk.length;
    }
    signal?.throwIfAborted();
    return { digest: hash.digest(), size };
  }

  #verify(
    blob: { readonly digest: Digest; readonly size: number },
    expect: { readonly digest?: Digest; readonly size?: number },
  ): void {
    if (expect.size !== undefined && expect.size !== blob.size) {
      throw new BuildError(Code.DataLoss, `unexpected commit size ${blob.size}, expected ${expect.size}`);
    }
    if (expect.digest !== undefined && expect.digest !== blob.digest) {
      throw new BuildError(Code.DataLoss, `unexpected commit digest ${blob.digest}, expected ${expect.digest}`);
    }
  }

  async #publish(file: FileHandle, path: string, blob: { digest: Digest; size: number }): Promise<BlobStat> {
    if (this.#durable) await file.datasync();
    const now = new Date(steadyClock.now());
    await file.utimes(now, now);
    await rename(path, this.path(blob.digest));
    this.#onStored(blob.size);
    if (this.#durable) {
      await using dir = await open(join(this.root, "blobs", "sha256"), constants.O_RDONLY | constants.O_DIRECTORY);
      await dir.sync();
    }
    return { ...blob, createdAt: now.getTime() };
  }

  async *list(): AsyncGenerator<BlobStat> {
    let entries: Dirent[];
    try {
      entries = await readdir(join(this.root, "blobs", "sha256"), { withFileTypes: true });
    } catch (error) {
      throw BuildError.from(error);
    }
    for (const entry of entries) {
      const digest = `sha256:${entry.name}`;
      if (!entry.isFile() || !isDigest(digest)) continue;
      const blob = await this.stat(digest);
      if (blob !== undefined) yield blob;
    }
  }

  async delete(digest: Digest): Promise<boolean> {
    try {
      await unlink(this.path(digest));
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw BuildError.from(error);
    }
  }

  /**
   * Reads a blob through; if its bytes no longer match its name it is moved aside, so that it can be fetched anew.
   * @returns false when it was corrupt or absent
   */
  async verify(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    if ((await this.stat(digest)) === undefined) return false;
    const hash = new Sha256();
    for await (const chunk of this.read(digest, {}, signal)) hash.update(chunk);
    if (hash.digest() === digest) return true;
    await this.quarantine(digest);
    return false;
  }

  /** Takes a blob found to be corrupt out of the store; does nothing when it is absent. */
  async quarantine(digest: Digest): Promise<void> {
    const dir = join(this.root, "quarantine");
    await mkdir(dir, { recursive: true });
    try {
      await rename(this.path(digest), join(dir, digestHex(digest)));
    } catch (error) {
      if (!isAbsent(error)) throw BuildError.from(error);
    }
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

/** An abort reason is the caller's own and goes through as it is. */
function wrapped(error: unknown, signal: AbortSignal | undefined): unknown {
  return signal?.aborted && error === signal.reason ? error : BuildError.from(error);
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
