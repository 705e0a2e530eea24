import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../core/seams/logger.ts";
import { type Digest, digestHex } from "../../core/values/digest.ts";

/** Some hundred contexts of twenty thousand files each. */
const defaultMaxBytes = 64 << 20;

export interface ContentListingsOptions {
  readonly directory: string;
  /** Of all listings; the ones that were not used for longest go first. Default 64 MiB. */
  readonly maxBytes?: number;
  readonly logger: Logger;
}

/**
 * Which files stand behind the content digests this agent has computed (contenthash/content-listing.ts), so that it can be said
 * which of them changed when the trees themselves are gone. Kept over restarts, as far as there is room. Dispose waits for
 * listings being written.
 */
export class ContentListings implements AsyncDisposable {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #logger: Logger;
  /** Bytes by file name, the one used last at the end. */
  readonly #sizes: Map<string, number>;
  readonly #writing = new Map<string, Promise<void>>();

  private constructor({ directory, maxBytes, logger }: ContentListingsOptions, sizes: Map<string, number>) {
    this.#directory = directory;
    this.#maxBytes = maxBytes ?? defaultMaxBytes;
    this.#logger = logger;
    this.#sizes = sizes;
  }

  static async open(options: ContentListingsOptions): Promise<ContentListings> {
    const { directory } = options;
    await mkdir(directory, { recursive: true });
    const found: { readonly name: string; readonly size: number; readonly usedAt: number }[] = [];
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      // Cut off while it was written.
      if (name.includes(".")) await rm(path, { force: true });
      else {
        const { size, mtimeMs } = await stat(path);
        found.push({ name, size, usedAt: mtimeMs });
      }
    }
    found.sort((a, b) => a.usedAt - b.usedAt);
    return new ContentListings(options, new Map(found.map(({ name, size }) => [name, size])));
  }

  /**
   * Notes that a digest was computed; in the background, and only if there is none yet, has its listing written. A failure
   * costs the listing and nothing else.
   */
  keep(digest: Digest, write: (file: string) => Promise<void>): void {
    const name = digestHex(digest);
    if (this.#writing.has(name)) return;
    const work = this.#keep(name, write).catch((error) => {
      this.#logger.debug("content listing is not kept", { digest, error: String(error) });
    });
    this.#writing.set(name, work);
    void work.then(() => this.#writing.delete(name));
  }

  async read(digest: Digest): Promise<Uint8Array | undefined> {
    const name = digestHex(digest);
    await this.#writing.get(name);
    return this.#sizes.has(name) ? readFile(join(this.#directory, name)) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writing.values());
  }

  async #keep(name: string, write: (file: string) => Promise<void>): Promise<void> {
    const path = join(this.#directory, name);
    const known = this.#sizes.get(name);
    if (known === undefined) {
      await write(path);
      this.#sizes.set(name, (await stat(path)).size);
      await this.#makeRoom();
    } else {
      this.#sizes.delete(name);
      this.#sizes.set(name, known);
      const now = new Date();
      await utimes(path, now, now);
    }
  }

  async #makeRoom(): Promise<void> {
    let total = 0;
    for (const size of this.#sizes.values()) total += size;
    for (const [name, size] of this.#sizes) {
      if (total <= this.#maxBytes) return;
      this.#sizes.delete(name);
      total -= size;
      await rm(join(this.#directory, name), { force: true });
    }
  }
}
