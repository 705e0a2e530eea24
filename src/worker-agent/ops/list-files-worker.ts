import { closeSync, openSync, readSync } from "node:fs";
import { type Digest, Sha256 } from "../../core/values/digest.ts";
import {
  attempt,
  type BytePath,
  fsPath,
  isGoRegular,
  type JobContext,
  serveJobs,
  textPath,
  walkTree,
} from "../../filesystem/index.ts";

export interface ListFilesJob {
  readonly root: BytePath;
  readonly digests: boolean;
}

const blockBytes = 1 << 20;

serveJobs({
  files({ root, digests }: ListFilesJob, context: JobContext): { readonly path: string; readonly digest?: Digest }[] {
    const files: { readonly path: string; readonly digest?: Digest }[] = [];
    const block = Buffer.allocUnsafe(blockBytes);
    walkTree(root, {}, ({ path, mode }) => {
      context.checkCancelled();
      if (!isGoRegular(mode)) return undefined;
      const name = textPath(path);
      files.push(digests ? { path: name, digest: hashFile(`${root}/${path}`, block, context) } : { path: name });
      return undefined;
    });
    return files;
  },
});

function hashFile(full: BytePath, block: Buffer, context: JobContext): Digest {
  const hash = new Sha256();
  const fd = attempt("open", full, () => openSync(fsPath(full), "r"));
  try {
    for (;;) {
      context.checkCancelled();
      const length = attempt("read", full, () => readSync(fd, block, 0, block.length, null));
      if (length === 0) return hash.digest();
      hash.update(block.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}
