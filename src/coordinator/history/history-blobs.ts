import type { BuildHistoryRecord, Descriptor } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BlobStat, ContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import { type Digest, digestHex, parseDigest, sha256 } from "../../core/values/digest.ts";
import type { ReadableContent } from "../front-door/index.ts";
import { recordKey } from "./history-records.ts";

/** Larger blobs stay with the coordinator that made them; a bucket takes values below a megabyte. */
const maxSharedBytes = 256 << 10;

export interface HistoryBlobsOptions {
  /** Small blobs, shared by all coordinators. */
  readonly bucket: KeyValue;
  /** Large blobs of this coordinator. Nobody else writes to it. */
  readonly store: ContentStore;
  /** Records that exist now: a blob can be read as long as one names it. */
  readonly records: () => Iterable<BuildHistoryRecord>;
}

/**
 * What records name by descriptor: logs, errors, traces, attestations. Each record has its own copy in the bucket, so that
 * coordinators can delete records without asking each other who else has the same blob.
 */
export class HistoryBlobs implements ReadableContent {
  readonly #options: HistoryBlobsOptions;
  /** Large blobs whose record is not stored yet. */
  readonly #pending = new Map<Digest, number>();

  constructor(options: HistoryBlobsOptions) {
    this.#options = options;
  }

  /** Stores a blob for a record about to be stored; `settle` must follow once it is, or will not be. */
  async write(ref: string, mediaType: string, chunks: AsyncIterable<Uint8Array>): Promise<Descriptor> {
    const { bucket, store } = this.#options;
    const iterator = chunks[Symbol.asyncIterator]();
    const head: Uint8Array[] = [];
    let size = 0;
    while (size <= maxSharedBytes) {
      const next = await iterator.next();
      if (next.done) {
        const bytes = Buffer.concat(head);
        const digest = sha256(bytes);
        if (size > 0) await bucket.put(blobKey(ref, digest), bytes);
        return { mediaType, digest, size, annotations: {} };
      }
      head.push(next.value);
      size += next.value.length;
    }
    const blob = await store.write(
      (async function* () {
        yield* head;
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
      })(),
    );
    this.#pending.set(blob.digest, (this.#pending.get(blob.digest) ?? 0) + 1);
    return { mediaType, digest: blob.digest, size: blob.size, annotations: {} };
  }

  /** The record that these were written for is stored, or never will be. */
  settle(blobs: readonly Descriptor[]): void {
    for (const { digest, size } of blobs) {
      if (size <= maxSharedBytes) continue;
      const left = (this.#pending.get(parseDigest(digest)) ?? 0) - 1;
      if (left > 0) this.#pending.set(parseDigest(digest), left);
      else this.#pending.delete(parseDigest(digest));
    }
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const owner = this.#owner(digest);
    if (owner === undefined) return undefined;
    const { record, blob } = owner;
    const createdAt = Number(record.CompletedAt?.seconds ?? 0) * 1000;
    if (blob.size <= maxSharedBytes) return { digest, size: blob.size, createdAt };
    const stat = await this.#options.store.stat(digest);
    if (stat === undefined) throw elsewhere(record.Ref, digest);
    return stat;
  }

  async *read(
    digest: Digest,
    range: { readonly offset?: number; readonly length?: number } = {},
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const owner = this.#owner(digest);
    if (owner === undefined) throw new BuildError(Code.NotFound, `content ${digest}: not found`);
    const { record, blob } = owner;
    if (blob.size === 0) return;
    if (blob.size > maxSharedBytes) {
      if ((await this.#options.store.stat(digest)) === undefined) throw elsewhere(record.Ref, digest);
      yield* this.#options.store.read(digest, range, signal);
      return;
    }
    const entry = await this.#options.bucket.get(blobKey(record.Ref, digest));
    if (entry === undefined) throw new BuildError(Code.NotFound, `content ${digest}: not found`);
    const start = range.offset ?? 0;
    yield entry.value.subarray(start, range.length === undefined ? undefined : start + range.length);
  }

  /**
   * Removes what a record has in the bucket: before the record is deleted, or after it was replaced.
   * @param successor has the same ref, and keeps what it names
   */
  async deleteShared(record: BuildHistoryRecord, successor?: BuildHistoryRecord): Promise<void> {
    const kept = new Set(successor === undefined ? [] : storedBlobs(successor).map(({ digest }) => digest));
    for (const { digest, size } of storedBlobs(record)) {
      if (size <= maxSharedBytes && !kept.has(digest))
        await this.#options.bucket.delete(blobKey(record.Ref, parseDigest(digest)));
    }
  }

  /** Removes the large blobs here which no record names any more. */
  async sweep(): Promise<void> {
    const { records, store } = this.#options;
    const found: Digest[] = [];
    for await (const { digest } of store.list()) found.push(digest);
    if (found.length === 0) return;
    const named = new Set<string>([...records()].flatMap(storedBlobs).map(({ digest }) => digest));
    for (const digest of found) {
      if (!this.#pending.has(digest) && !named.has(digest)) await store.delete(digest);
    }
  }

  #owner(digest: Digest): { readonly record: BuildHistoryRecord; readonly blob: Descriptor } | undefined {
    for (const record of this.#options.records()) {
      const blob = storedBlobs(record).find((named) => named.digest === digest);
      if (blob !== undefined) return { record, blob };
    }
    return undefined;
  }
}

/** Blobs that live and die with a record. Results are named in it too, but are the exporters' own. */
function storedBlobs(record: BuildHistoryRecord): Descriptor[] {
  const attestations = [record.Result, ...Object.values(record.Results)].flatMap((info) => info?.Attestations ?? []);
  return [record.logs, record.externalError, record.trace, ...attestations].filter((blob) => blob !== undefined);
}

function blobKey(ref: string, digest: Digest): string {
  return `${recordKey(ref)}/${digestHex(digest)}`;
}

function elsewhere(ref: string, digest: Digest): BuildError {
  return new BuildError(
    Code.NotFound,
    `content ${digest} of build ${ref}: not found here: it is larger than ${maxSharedBytes} bytes and stays with the coordinator that ran the build`,
  );
}
