import { closeSync, constants, copyFileSync, fchmodSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { type BytePath, fsPath } from "./byte-path.ts";
import { attempt } from "./fs-error.ts";

/**
 * Up to here the kernel copies in one call, several times faster than blocks through this process and done in about a
 * second; larger copies can be cancelled between blocks.
 */
const oneCallBytes = 1 << 30;
const blockBytes = 1 << 20;
const zeros = Buffer.alloc(blockBytes);

export interface FileExtent {
  readonly size: number;
  /** 512-byte blocks on disk; fewer than `size` needs = the file has holes. */
  readonly blocks: number;
}

/**
 * Copies a regular file's bytes to a path which does not exist yet. Shares extents where the file system can; holes stay holes.
 * @param checkCancelled throws to stop a long copy
 */
export function copyFileBytes(
  source: BytePath,
  target: BytePath,
  extent: FileExtent,
  checkCancelled: () => void,
): void {
  const sparse = extent.blocks * 512 < extent.size;
  if (extent.size <= oneCallBytes && !sparse) {
    attempt("failed to open target", target, () =>
      copyFileSync(fsPath(source), fsPath(target), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
    );
    return;
  }
  try {
    copyFileSync(fsPath(source), fsPath(target), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  } catch {
    copyBlocks(source, target, sparse, checkCancelled);
  }
}

function copyBlocks(source: BytePath, target: BytePath, sparse: boolean, checkCancelled: () => void): void {
  const input = attempt("open", source, () => openSync(fsPath(source), "r"));
  try {
    const output = attempt("open", target, () => openSync(fsPath(target), "w", 0o600));
    try {
      const block = Buffer.allocUnsafe(blockBytes);
      let position = 0;
      for (;;) {
        checkCancelled();
        const length = attempt("read", source, () => readSync(input, block, 0, blockBytes, position));
        if (length === 0) break;
        const data = block.subarray(0, length);
        if (!sparse || !data.equals(zeros.subarray(0, length))) {
          for (let done = 0; done < length; ) {
            done += attempt("write", target, () => writeSync(output, data, done, length - done, position + done));
          }
        }
        position += length;
      }
      if (sparse) attempt("truncate", target, () => ftruncateSync(output, position));
      fchmodSync(output, 0o600);
    } finally {
      closeSync(output);
    }
  } finally {
    closeSync(input);
  }
}
