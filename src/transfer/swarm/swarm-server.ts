import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { FileContentStore } from "../../core/seams/content-store.ts";
import type { Digest } from "../../core/values/digest.ts";
import { LruMap } from "../../util/lru-map.ts";
import { ChunkDigests, digestsPerAnswer } from "./chunk-digests.ts";
import { ChunkLayout } from "./chunk-layout.ts";
import { ChunkSet } from "./chunk-set.ts";
import type { SwarmAnswer, SwarmAsk } from "./messages.ts";
import type { PartialBlob } from "./partial-blob.ts";
import { SwarmTracker } from "./swarm-tracker.ts";

/** How long an answer waits for news: also how often those who fetch are heard of. */
const newsWithinMs = 250;
const trackedBlobs = 256;

export interface SwarmServerOptions {
  readonly content: FileContentStore;
  /** The blob as far as it was received here, whether it still is being or not. */
  readonly received: (digest: Digest) => PartialBlob | undefined;
  readonly zone?: string;
  readonly now?: () => number;
}

/** Answers agents that fetch a blob of which all or parts are here. */
export class SwarmServer {
  readonly #options: SwarmServerOptions;
  readonly #digests: ChunkDigests;
  readonly #trackers = new LruMap<Digest, SwarmTracker>(trackedBlobs);
  readonly #full = new LruMap<number, string>(trackedBlobs);

  constructor(options: SwarmServerOptions) {
    this.#options = options;
    this.#digests = new ChunkDigests(options.content);
  }

  /** @throws BuildError NotFound when nothing of the blob is here */
  async answer(digest: Digest, ask: SwarmAsk, signal: AbortSignal): Promise<SwarmAnswer> {
    const stored = await this.#options.content.stat(digest);
    const partial = stored === undefined ? this.#options.received(digest) : undefined;
    const layout = stored === undefined ? partial?.layout : new ChunkLayout(stored.size);
    if (layout === undefined) throw new BuildError(Code.NotFound, `nothing of blob ${digest} is here`);
    const tracker = this.#trackers.get(
      digest,
      () => new SwarmTracker(layout.count, this.#options.now ?? (() => performance.now())),
    );
    const peers = tracker.heard(ask);
    const { zone } = this.#options;
    const common = { ...layoutOf(layout), peers, ...(zone === undefined ? {} : { zone }) };
    if (stored !== undefined) {
      const digests = await this.#digests.from(stored, ask.digestsFrom);
      return { ...common, whole: true, have: this.#encodedFull(layout.count), take: tracker.give(ask), digests };
    }
    const { have, changed, digests: known } = partial as PartialBlob;
    const digests = known.slice(ask.digestsFrom, ask.digestsFrom + digestsPerAnswer);
    if (have.size === ask.seen && digests.length === 0) await changed.wait(newsWithinMs, signal);
    return { ...common, whole: false, have: have.encode(), take: [], digests };
  }

  /** A blob as far as it was received here. */
  received(digest: Digest): PartialBlob | undefined {
    return this.#options.received(digest);
  }

  #encodedFull(count: number): string {
    return this.#full.get(count, () => ChunkSet.full(count).encode());
  }
}

function layoutOf({ size, chunkBytes }: ChunkLayout): { readonly size: number; readonly chunkBytes: number } {
  return { size, chunkBytes };
}
