import type { Digest } from "../values/digest.ts";

/**
 * Blobs by digest on one machine. A blob becomes visible only when its bytes are whole and hash to its name; a reader never
 * sees half a blob. Anything written and not committed is gone after a restart, except ingests with a `ref`, which resume.
 */
export interface ContentStore {
  /** @returns undefined when absent */
  stat(digest: Digest): Promise<BlobStat | undefined>;

  /**
   * @param range from `offset` for `length` bytes (default: to the end)
   * @throws BuildError NotFound
   */
  read(
    digest: Digest,
    range?: { readonly offset?: number; readonly length?: number },
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;

  /**
   * Stores bytes. Writes of the same expected digest are joined by the caller, not here.
   * @throws BuildError DataLoss when size or digest differ from what was expected; nothing is kept then
   */
  write(
    bytes: AsyncIterable<Uint8Array>,
    expect?: { readonly digest?: Digest; readonly size?: number },
    signal?: AbortSignal,
  ): Promise<BlobStat>;

  list(): AsyncIterable<BlobStat>;

  /** @returns false when it was not there */
  delete(digest: Digest): Promise<boolean>;
}

export interface BlobStat {
  readonly digest: Digest;
  readonly size: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
}

/** A content store whose blobs are plain files: lets an HTTP server or a hasher use the path. */
export interface FileContentStore extends ContentStore {
  /** Path of the blob's file whether or not it exists. */
  path(digest: Digest): string;
}
