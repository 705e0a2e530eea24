import type { SolveProgress } from "../../core/values/solve-progress.ts";
import type { Job, ProgressEvent } from "../../solver/index.ts";

/** A job's progress from its start, as the front door sends it. */
export async function* jobProgress(
  job: Pick<Job<unknown>, "progress">,
  signal: AbortSignal,
): AsyncGenerator<SolveProgress, void, undefined> {
  for await (const event of job.progress(signal)) yield toSolveProgress(event);
}

function toSolveProgress(event: ProgressEvent): SolveProgress {
  return {
    vertexes: event.vertexes,
    statuses: event.statuses.map((status) => ({ name: "", current: 0, total: 0, ...status })),
    logs: event.logs,
    warnings: event.warnings,
  };
}
