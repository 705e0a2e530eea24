import type { BlobStat } from "../../core/seams/content-store.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { ReadableContent } from "../front-door/index.ts";
import type { HistoryBlobs } from "./history-blobs.ts";
import type { HistoryDocuments } from "./history-documents.ts";

/** All that clients can read by way of records: their own blobs, and the documents of what they exported. */
export class HistoryContent implements ReadableContent {
  readonly #blobs: HistoryBlobs;
  readonly #documents: HistoryDocuments;

  constructor(blobs: HistoryBlobs, documents: HistoryDocuments) {
    this.#blobs = blobs;
    this.#documents = documents;
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const blob = await this.#blobs.stat(digest);
    if (blob !== undefined) return blob;
    const document = await this.#documents.find(digest);
    return document && { digest, size: document.length, createdAt: 0 };
  }

  async *read(
    digest: Digest,
    range: { readonly offset?: number; readonly length?: number } = {},
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const isBlob = (await this.#blobs.stat(digest)) !== undefined;
    const document = isBlob ? undefined : await this.#documents.find(digest);
    if (document === undefined) return yield* this.#blobs.read(digest, range, signal);
    const { offset = 0, length = document.length } = range;
    yield document.subarray(offset, offset + length);
  }
}
