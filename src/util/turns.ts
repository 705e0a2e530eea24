import { setImmediate as nextTurn } from "node:timers/promises";

/** How long work may go on in one turn of the event loop. */
const turnMs = 10;

/**
 * Runs work that yields after each of its small steps, in as many turns of the event loop as it takes: others are served
 * meanwhile, however much there is to do.
 */
export async function inTurns<T>(steps: Iterator<unknown, T>, signal?: AbortSignal): Promise<T> {
  let start = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    if (performance.now() - start < turnMs) continue;
    await nextTurn();
    signal?.throwIfAborted();
    start = performance.now();
  }
}

/** The same in one go. */
export function atOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
