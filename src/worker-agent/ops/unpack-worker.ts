import { type BytePath, fsPath, type JobContext, type Owner, serveJobs } from "../../filesystem/index.ts";
import { openArchive } from "./archive-stream.ts";
import { extractTar } from "./extract-tar.ts";

export interface UnpackJob {
  readonly file: BytePath;
  readonly directory: BytePath;
  /** Owner of all entries instead of their own. */
  readonly owner: Owner | undefined;
}

serveJobs({
  async isArchive(file: BytePath): Promise<boolean> {
    await using archive = await openArchive(fsPath(file));
    return archive !== undefined;
  },

  async unpack({ file, directory, owner }: UnpackJob, context: JobContext): Promise<void> {
    await using archive = await openArchive(fsPath(file));
    if (archive === undefined) throw new Error("archive changed while it was read");
    await extractTar(archive.bytes, directory, owner, context.checkCancelled);
  },
});
