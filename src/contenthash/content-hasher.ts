import { writeFile } from "node:fs/promises";
import type { Snapshotter } from "../core/seams/snapshotter.ts";
import { type Digest, sha256 } from "../core/values/digest.ts";
import type { LayerId, Ref } from "../core/values/layer.ts";
import type { ContentSelector } from "../core/values/task.ts";
import { type BytePath, joinPath, WorkerPool } from "../filesystem/index.ts";
import { encodeListing } from "./content-listing.ts";
import type { ChecksumJob, ListingJob, SeedJob } from "./hash-worker.ts";

export interface ContentHasherOptions {
  readonly snapshotter: Pick<Snapshotter, "layerPath">;
  /** Threads that read and hash; default 2. */
  readonly threads?: number;
  /** Entry file of the threads, where it is not beside the sources. */
  readonly workerEntry?: URL;
}

export interface ChecksumOptions {
  readonly signal?: AbortSignal;
  /** The ref is a tree that a client sent: BuildKit hashes its root without a header then. */
  readonly transferred?: boolean;
}

/**
 * Content digests of refs, byte-compatible with BuildKit (map d17–d21). Works on the layers' directories, no mount is
 * needed; what was hashed of a layer is remembered for every ref that has the layer. Dispose stops the threads.
 */
export class ContentHasher implements AsyncDisposable {
  readonly #snapshotter: Pick<Snapshotter, "layerPath">;
  readonly #pool: WorkerPool;

  constructor(options: ContentHasherOptions) {
    this.#snapshotter = options.snapshotter;
    this.#pool = new WorkerPool({
      entry: options.workerEntry ?? new URL("./hash-worker.ts", import.meta.url),
      // They remember what was hashed.
      idleMs: Number.POSITIVE_INFINITY,
      ...(options.threads === undefined ? {} : { size: options.threads }),
    });
  }

  /**
   * Digest of a ref's selected parts: sha256 of the selectors' digests joined by NUL. The layers must stay pinned meanwhile.
   * No selectors means the whole tree.
   */
  async checksum(ref: Ref, selectors: readonly ContentSelector[], options: ChecksumOptions = {}): Promise<Digest> {
    const digests = await this.#digests(ref, absolute(selectors), options);
    return sha256(digests.join("\0"));
  }

  /**
   * Writes the paths behind a checksum that was just computed, with a short digest of each, to a file (`decodeListing`). What
   * was read for the checksum is remembered: the layers need not be pinned, and when they are gone it may fail.
   */
  async list(
    ref: Ref,
    selectors: readonly ContentSelector[],
    file: string,
    options: ChecksumOptions = {},
  ): Promise<void> {
    const [bottom] = ref.layers;
    if (bottom === undefined) return writeFile(file, encodeListing(new Map()));
    const job: ListingJob = { ...this.#job(ref, absolute(selectors), options), file };
    await this.#pool.runSticky(threadKey(bottom), "listing", job);
  }

  /** One digest per selector; paths are taken as they are. */
  async digests(
    ref: Ref,
    selectors: readonly ContentSelector[],
    options: ChecksumOptions = {},
  ): Promise<readonly Digest[]> {
    return this.#digests(ref, selectors, options);
  }

  /** Digests that are known already, so that the layer's files need not be read. Paths are relative, the root is empty. */
  async seed(id: LayerId, digests: ReadonlyMap<BytePath, Digest>): Promise<void> {
    const job: SeedJob = { id, paths: [...digests.keys()], digests: [...digests.values()] };
    await this.#pool.runSticky(threadKey(id), "seed", job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  async #digests(
    ref: Ref,
    selectors: readonly ContentSelector[],
    options: ChecksumOptions,
  ): Promise<readonly Digest[]> {
    const bottom = ref.layers[0];
    if (bottom === undefined) {
      return selectors.map(({ path }) => {
        if (path !== "/") throw new Error(`${path}: no such file or directory`);
        return sha256("");
      });
    }
    const job = this.#job(ref, selectors, options);
    // Stacks with the same base share what was hashed of it.
    return this.#pool.runSticky<readonly Digest[]>(
      threadKey(bottom),
      "checksum",
      job,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }

  #job(ref: Ref, selectors: readonly ContentSelector[], { transferred }: ChecksumOptions): ChecksumJob {
    return {
      layers: ref.layers.map((id) => ({ id, directory: this.#snapshotter.layerPath(id) })),
      selectors,
      transferred: transferred === true && ref.layers.length === 1,
    };
  }
}

function absolute(selectors: readonly ContentSelector[]): ContentSelector[] {
  const wanted = selectors.length === 0 ? [wholeTree] : selectors;
  return wanted.map((selector) => ({ ...selector, path: joinPath("/", selector.path) }));
}

const wholeTree: ContentSelector = {
  path: "/",
  wildcard: false,
  followLinks: false,
  includePatterns: [],
  excludePatterns: [],
};

function threadKey(id: LayerId): number {
  let key = 0;
  for (let i = 0; i < id.length; i++) key = (key * 31 + id.charCodeAt(i)) | 0;
  return key;
}
