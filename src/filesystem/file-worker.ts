import type { FileAction } from "../api/gen/ops.ts";
import type { BytePath } from "./byte-path.ts";
import type { Owner } from "./copier.ts";
import {
  type ActionRoots,
  archiveCandidate,
  checkCopyTarget,
  copyAction,
  copySources,
  mkdirAction,
  mkfileAction,
  rmAction,
  symlinkAction,
  unpackTarget,
} from "./file-actions.ts";
import { type JobContext, serveJobs } from "./worker-server.ts";

export interface ActionJob {
  readonly action: FileAction;
  readonly roots: ActionRoots;
  /** Root that a copy reads from. */
  readonly source?: BytePath;
}

export interface CopyOneJob extends ActionJob {
  readonly path: BytePath;
}

/** A source of a copy that may have to be unpacked. */
export interface CopySource {
  readonly path: BytePath;
  /** Full path when it is a regular file and so could be an archive. */
  readonly candidate?: BytePath;
}

export interface UnpackPlace {
  readonly path: BytePath;
  readonly owner: Owner | undefined;
}

function copyOf(job: ActionJob) {
  const { action } = job.action;
  if (action?.$case !== "copy" || job.source === undefined) throw new Error("no copy action");
  return { copy: action.value, source: job.source };
}

serveJobs({
  /** Runs a whole action; a copy without unpacking. */
  run(job: ActionJob, context: JobContext): void {
    const { action } = job.action;
    switch (action?.$case) {
      case "mkdir":
        mkdirAction(job.roots, action.value);
        return;
      case "mkfile":
        mkfileAction(job.roots, action.value);
        return;
      case "symlink":
        symlinkAction(job.roots, action.value);
        return;
      case "rm":
        rmAction(job.roots, action.value);
        return;
      case "copy": {
        const { copy, source } = copyOf(job);
        checkCopyTarget(job.roots.target, copy);
        for (const path of copySources(source, job.roots.target, copy)) {
          copyAction(job.roots, source, path, copy, context.checkCancelled);
        }
        return;
      }
      case undefined:
        throw new Error("invalid action type <nil>");
    }
  },

  /** The sources of a copy that unpacks archives, before anything is copied. */
  sources(job: ActionJob): readonly CopySource[] {
    const { copy, source } = copyOf(job);
    checkCopyTarget(job.roots.target, copy);
    return copySources(source, job.roots.target, copy).map((path) => {
      const candidate = archiveCandidate(source, path);
      return { path, ...(candidate === undefined ? {} : { candidate }) };
    });
  },

  copyOne(job: CopyOneJob, context: JobContext): void {
    const { copy, source } = copyOf(job);
    copyAction(job.roots, source, job.path, copy, context.checkCancelled);
  },

  unpackTarget(job: ActionJob): UnpackPlace {
    return unpackTarget(job.roots, copyOf(job).copy);
  },
});
