import { BuildError } from "../../core/errors/build-error.ts";
import { LayerLostError } from "../../core/errors/layer-lost-error.ts";
import { StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { RunContext } from "../../core/seams/op-runner.ts";
import type { FailedState } from "../../core/values/failed-state.ts";
import type { Task } from "../../core/values/task.ts";
import { isOutOfSpace } from "../out-of-space.ts";

/**
 * A step's failure together with what the step leaves. Without it when nobody could want that: the step was cancelled, runs
 * again elsewhere, or was to make lost layers again, whose ids stand for whole ones. Nor when it has filled the disk.
 * @param commit turns what was written into layers
 */
export async function withFailedState(
  error: unknown,
  task: Task,
  context: RunContext,
  commit: () => Promise<FailedState>,
): Promise<BuildError> {
  const failure = BuildError.from(error);
  const { signal, logger } = context;
  if (signal.aborted || failure.infrastructure) return failure;
  if (isOutOfSpace(failure, task.kind) || LayerLostError.is(failure) || (await context.diskIsFull?.())) return failure;
  try {
    return new StepFailedError(failure, await commit());
  } catch (cause) {
    // How the step failed is what counts.
    logger.warn("cannot keep the files of a failed step", { error: BuildError.from(cause).message });
    return failure;
  }
}
