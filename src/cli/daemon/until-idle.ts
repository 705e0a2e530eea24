import { sleep } from "../../util/abort.ts";

const longestCheckMs = 1000;

/** Resolves once nothing has run for so long, or at the signal. */
export async function untilIdle(
  agent: { readonly running: number },
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  let since = performance.now();
  while (performance.now() - since < idleMs) {
    await sleep(Math.min(longestCheckMs, idleMs), signal).catch(() => {});
    if (signal.aborted) return;
    if (agent.running > 0) since = performance.now();
  }
}
