import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { HealthPolicy } from "./session-headers.ts";

export interface HealthWatchOptions {
  readonly clock: Clock;
  readonly policy: HealthPolicy;
  readonly check: (signal: AbortSignal) => Promise<void>;
  readonly onFailedCheck?: (error: BuildError) => void;
}

/**
 * Checks a session until it fails for good or `signal` aborts (BuildKit session/grpc.go, map b2). A check may take as long as
 * the policy says, or half as long again as the last one took: a client that sends a large context over a thin line answers
 * late and is still there.
 * @returns why the session is dead, or undefined when the signal aborted
 */
export async function watchHealth(options: HealthWatchOptions, signal: AbortSignal): Promise<BuildError | undefined> {
  const { clock, policy } = options;
  let failures = 0;
  let lastDurationMs = 0;
  while (!signal.aborted) {
    try {
      await clock.sleep(policy.intervalMs, signal);
    } catch {
      return undefined;
    }
    const startedAt = clock.now();
    try {
      await checkOnce(options, Math.max(policy.timeoutMs, lastDurationMs * 1.5), signal);
      failures = 0;
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const error = BuildError.from(thrown);
      failures++;
      if (failures >= policy.failures) {
        return new BuildError(Code.Unavailable, `session healthcheck failed fatally: ${error.message}`, {
          cause: error,
        });
      }
      options.onFailedCheck?.(error);
    }
    lastDurationMs = clock.now() - startedAt;
  }
  return undefined;
}

async function checkOnce(options: HealthWatchOptions, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const stop = AbortSignal.any([signal, over.signal]);
  const timeout = options.clock.sleep(timeoutMs, stop).then(() => {
    throw new BuildError(Code.DeadlineExceeded, "context deadline exceeded");
  });
  timeout.catch(() => {});
  const check = options.check(stop);
  check.catch(() => {});
  try {
    await Promise.race([check, timeout]);
  } finally {
    over.abort(new BuildError(Code.Canceled, "context canceled"));
  }
}
