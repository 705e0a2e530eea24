import type { Edge } from "../../core/seams/op.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { Ref } from "../../core/values/layer.ts";
import { type Job, madeAnew } from "../../solver/index.ts";

export interface ReadResultsOptions<S> {
  readonly job: Pick<Job<Ref>, "discredit">;
  /** What was solved of the job. */
  readonly solved: S;
  /** The same, solved again; `lost` is what is to be made anew of the job. */
  readonly again: (solved: S, lost: readonly Edge[]) => Promise<S>;
  readonly progress: ProgressWriter;
  readonly signal: AbortSignal;
}

/** Losses that one piece of work outlives: more are no accident. */
const maxLosses = 10;

/**
 * Does work that reads what a job has solved, e.g. an export. What of it turns out to be lost is made anew, and the work done
 * again from its beginning.
 * @throws as the work does
 */
export async function readResults<S, R>(work: (solved: S) => Promise<R>, options: ReadResultsOptions<S>): Promise<R> {
  const { job, again, progress, signal } = options;
  let { solved } = options;
  for (let losses = 1; ; losses++) {
    try {
      return await work(solved);
    } catch (error) {
      if (signal.aborted || losses > maxLosses) throw error;
      const lost = await job.discredit(error);
      if (lost.length === 0) throw error;
      progress.log(2, new TextEncoder().encode(madeAnew(error)));
      solved = await again(solved, lost);
    }
  }
}
