import type { ProgressWriter } from "../core/seams/progress.ts";
import { allOrAbort } from "../util/all-or-abort.ts";
import type { HeldResult } from "./cached-result.ts";
import { Loss } from "./loss.ts";
import type { SolverEdge } from "./solver-edge.ts";

export interface ReadInputsOptions {
  readonly signal: AbortSignal;
  /** Told what is done again. */
  readonly progress: ProgressWriter;
}

/**
 * Does work that reads the results of inputs. They may be layers that nobody has fetched so far, or that have gone with an agent:
 * when some turn out to be lost or damaged, those inputs are made anew, and the work begins again.
 * @throws as the work does
 */
export async function readInputs<T, R>(
  edges: readonly SolverEdge<T>[],
  work: (inputs: readonly HeldResult<T>[]) => Promise<R>,
  { signal, progress }: ReadInputsOptions,
): Promise<R> {
  for (;;) {
    const inputs = await allOrAbort(edges, signal, (edge, task) => edge.result.get(task));
    // Work that is slow to stop must not lose its inputs when the jobs of these have gone.
    const kept = inputs.map(({ shared }) => shared.retain());
    try {
      return await work(inputs);
    } catch (error) {
      if (signal.aborted || !(await discredit(edges, inputs, error))) throw error;
      progress.log(2, new TextEncoder().encode(madeAnew(error)));
    } finally {
      for (const result of kept) result.release();
    }
  }
}

/** @returns false for an error that is about something else, or when making the inputs anew is of no use */
async function discredit<T>(
  edges: readonly SolverEdge<T>[],
  inputs: readonly HeldResult<T>[],
  error: unknown,
): Promise<boolean> {
  await using loss = edges[0] && Loss.of(error, edges[0].vertex.context);
  if (loss === undefined) return false;
  // Each of them, whatever becomes of the others.
  const lost = inputs.map((held, place) => loss.names(held.result) && edges[place]?.discredit(held, loss));
  return lost.includes(true);
}

/** What a build says of work that it does again. */
export function madeAnew(error: unknown): string {
  return `[fleet] ${(error as Error).message}; what is lost is made anew\n`;
}
