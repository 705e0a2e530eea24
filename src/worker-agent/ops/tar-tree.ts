import { tarTrailer } from "../../archive/tar/index.ts";
import type { SourceTree } from "../../filesync/index.ts";
import type { WorkerPool } from "../../filesystem/index.ts";
import { AsyncQueue } from "../../util/async-queue.ts";
import type { TarListJob, TarPackJob, TarPackResult, TarPiece } from "./tar-tree-worker.ts";

/** Bytes per chunk: below the 3 MiB that BuildKit puts into one message. */
const chunkBytes = 2 << 20;
const piecesPerJob = 1024;

/**
 * A tar of source trees, written while it is read (fsutil WriteTar).
 * @param pool threads of tar-tree-worker
 * @param options.exact keeps nanoseconds
 */
export async function* tarOfTrees(
  pool: WorkerPool,
  trees: readonly SourceTree[],
  signal: AbortSignal,
  options: { readonly exact?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  const listed = new AsyncQueue<readonly TarPiece[]>();
  const job: TarListJob = { trees, exact: options.exact ?? false };
  const listing = pool
    .run<void>("list", job, { signal, onEvent: (event) => listed.offer(event as readonly TarPiece[]) })
    .then(
      () => listed.end(),
      (error: unknown) => listed.fail(error),
    );
  try {
    for await (const batch of listed) {
      let pieces: readonly TarPiece[] = batch;
      while (pieces.length > 0) {
        const pack: TarPackJob = { pieces: pieces.slice(0, piecesPerJob), maxBytes: chunkBytes };
        const { bytes, remaining } = await pool.run<TarPackResult>("pack", pack, { signal });
        yield bytes;
        pieces = [...remaining, ...pieces.slice(piecesPerJob)];
      }
    }
    yield tarTrailer;
  } finally {
    await listing;
  }
}
