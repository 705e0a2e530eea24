import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BlobStat, FileContentStore } from "../../core/seams/content-store.ts";
import { LruMap } from "../../util/lru-map.ts";
import { ChunkLayout } from "./chunk-layout.ts";

/** Blobs whose digests are remembered; one of 1 GB has 256 of them. */
const rememberedBlobs = 64;
/** Digests are computed for so long before an answer goes out with those there are. */
const answerWithinMs = 50;
/** Hashing this much holds the event loop up for a fifth of a millisecond. */
const readSizeBytes = 256 << 10;
export const digestsPerAnswer = 64;

/** Digests of the chunks of stored blobs: computed when first asked for, then remembered. */
export class ChunkDigests {
  readonly #content: FileContentStore;
  readonly #blobs = new LruMap<string, (Promise<string> | undefined)[]>(rememberedBlobs);

  constructor(content: FileContentStore) {
    this.#content = content;
  }

  /** Those from `first` on, at least one if there is one, not more than a short time allows. */
  async from(blob: BlobStat, first: number): Promise<string[]> {
    const layout = new ChunkLayout(blob.size);
    // A blob that was removed and cut anew has the same name: it is told by its time.
    const known = this.#blobs.get(`${blob.digest} ${blob.createdAt}`, () => []);
    const until = performance.now() + answerWithinMs;
    const digests: string[] = [];
    for (let chunk = first; chunk < layout.count && digests.length < digestsPerAnswer; chunk++) {
      known[chunk] ??= this.#compute(blob, layout, chunk);
      known[chunk]?.catch(() => delete known[chunk]);
      digests.push(await (known[chunk] as Promise<string>));
      if (performance.now() > until) break;
    }
    return digests;
  }

  async #compute(blob: BlobStat, layout: ChunkLayout, chunk: number): Promise<string> {
    await using file = await open(this.#content.path(blob.digest));
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(readSizeBytes);
    const end = layout.start(chunk) + layout.length(chunk);
    for (let at = layout.start(chunk); at < end; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
      if (bytesRead === 0) throw new BuildError(Code.DataLoss, `blob ${blob.digest} has become shorter`);
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest("base64");
  }
}
