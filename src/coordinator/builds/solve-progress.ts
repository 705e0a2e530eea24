import type { SolveProgress } from "../../core/values/solve-progress.ts";
import type { ProgressEvent } from "../../solver/index.ts";

/** The solver's progress as the front door sends it. */
export function toSolveProgress(event: ProgressEvent): SolveProgress {
  return {
    vertexes: event.vertexes,
    statuses: event.statuses.map((status) => ({ name: "", current: 0, total: 0, ...status })),
    logs: event.logs,
    warnings: event.warnings,
  };
}
