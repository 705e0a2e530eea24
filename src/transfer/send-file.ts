import { type FileHandle, open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { withSignal } from "../util/abort.ts";
import type { ByteRange } from "./byte-range.ts";
import { type PiecePool, pieceBytes } from "./piece-pool.ts";

/**
 * Writes a part of a file, each piece read while the one before is on its way. Does not end `to`.
 * @param signal aborts when `to` is closed
 * @throws BuildError DataLoss when the file ends before the part does
 */
export async function sendFile(
  path: string,
  { start, end }: ByteRange,
  to: Writable,
  pool: PiecePool,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(path);
  let written = Promise.resolve();
  for (let at = start; at < end; ) {
    const piece = await readPiece(file, at, Math.min(pieceBytes, end - at), pool);
    await withSignal(written, signal);
    at += piece.length;
    written = write(to, piece).then(() => pool.give([piece]));
    // Of a connection that is gone nobody waits for the last one.
    written.catch(() => {});
  }
  await withSignal(written, signal);
}

async function readPiece(file: FileHandle, at: number, length: number, pool: PiecePool): Promise<Uint8Array> {
  const [piece = new Uint8Array()] = pool.take(length);
  const { bytesRead } = await file.read(piece, 0, length, at);
  if (bytesRead === 0) {
    throw new BuildError(Code.DataLoss, `a blob's file ends at byte ${at}`, { infrastructure: true });
  }
  return piece.subarray(0, bytesRead);
}

/** Resolves when the memory is free again. */
function write(to: Writable, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}
