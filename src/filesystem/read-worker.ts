import { closeSync, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { Stat } from "../api/gen/fsutil.ts";
import { type BytePath, bytePath, fsPath, textPath } from "./byte-path.ts";
import { isGoDir } from "./file-mode.ts";
import { type FileStat, statFile } from "./file-stat.ts";
import { attempt, attemptWith, FsError } from "./fs-error.ts";
import { basePath } from "./go-path.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import { walkTree } from "./walk.ts";
import { type JobContext, serveJobs } from "./worker-server.ts";

export interface ReadJob {
  readonly root: BytePath;
  /** As the user wrote it; errors name it so. */
  readonly path: string;
  readonly offset?: number;
  /** 0 = to the end. */
  readonly length?: number;
  readonly includePattern?: string;
}

const blockBytes = 1 << 20;

serveJobs({
  file({ root, path, offset = 0, length = 0 }: ReadJob, context: JobContext): Uint8Array {
    const full = resolveInRoot(root, bytePath(path));
    return renamed(path, () => {
      // lstat before open: opening a FIFO would wait for a writer.
      const before = attempt("open", full, () => lstatSync(fsPath(full)));
      if (!before.isFile()) throw new Error(`${path} is not a regular file`);
      const fd = attempt("open", full, () => openSync(fsPath(full), "r"));
      try {
        const available = Math.max(0, fstatSync(fd).size - offset);
        const wanted = length === 0 ? available : Math.min(length, available);
        const data = new Uint8Array(wanted);
        let done = 0;
        while (done < wanted) {
          context.checkCancelled();
          const count = Math.min(blockBytes, wanted - done);
          const read = attempt("read", full, () => readSync(fd, data, done, count, offset + done));
          if (read === 0) break;
          done += read;
        }
        return data.subarray(0, done);
      } finally {
        closeSync(fd);
      }
    });
  },

  dir({ root, path, includePattern = "" }: ReadJob, context: JobContext): Stat[] {
    const full = resolveInRoot(root, bytePath(path));
    // BuildKit resolves the directory once more before it walks; its text has that in front.
    const found = attemptWith(
      () => "resolve ",
      () => attempt("lstat", full, () => lstatSync(fsPath(full))),
    );
    if (!found.isDirectory()) throw new FsError("stat", full, "ENOTDIR");
    const entries: Stat[] = [];
    walkTree(full, includePattern === "" ? {} : { includePatterns: [includePattern] }, (stat) => {
      context.checkCancelled();
      entries.push(wireStat(stat));
      return isGoDir(stat.mode) ? "skip" : undefined;
    });
    return entries;
  },

  stat({ root, path }: ReadJob): Uint8Array {
    const full = resolveInRoot(root, bytePath(path));
    return renamed(path, () => Stat.encode(wireStat(statFile(full, basePath(full)))).finish());
  },
});

/** The file system's error with the path that was asked for. */
function renamed<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof FsError) error.replacePath(path);
    throw error;
  }
}

function wireStat(stat: FileStat): Stat {
  return {
    path: textPath(stat.path),
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.size,
    modTime: stat.modTime,
    linkname: textPath(stat.linkname),
    devmajor: stat.devmajor,
    devminor: stat.devminor,
    xattrs: Object.fromEntries([...(stat.xattrs ?? [])].map(([name, value]) => [textPath(name), value])),
  };
}
