import type { FailedState } from "../values/failed-state.ts";
import { BuildError } from "./build-error.ts";

/** A step failed by itself; what it had written until then is kept. Reads as its cause. */
export class StepFailedError extends BuildError {
  readonly state: FailedState;

  constructor(cause: BuildError, state: FailedState) {
    const { code, message, details, infrastructure } = cause;
    super(code, message, { cause, details, infrastructure });
    this.state = state;
  }
}

/** The outermost of this class among an error and its causes. */
export function findCause<E extends Error>(error: unknown, type: abstract new (...args: never[]) => E): E | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof type) return cause;
  return undefined;
}
