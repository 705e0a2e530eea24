import { LayerLostError } from "../core/errors/layer-lost-error.ts";
import type { ProgressWriter } from "../core/seams/progress.ts";
import { allOrAbort } from "../util/all-or-abort.ts";
import type { SolverEdge } from "./solver-edge.ts";

export interface ReadInputsOptions {
  readonly signal: AbortSignal;
  /** Told what is done again. */
  readonly progress: ProgressWriter;
}

/**
 * Does work that reads the results of inputs. Results from cache may be layers that nobody has fetched so far: when one of them
 * turns out to be gone or damaged, those inputs are made anew, and the work begins again.
 * @throws as the work does
 */
export async function readInputs<T, R>(
  edges: readonly SolverEdge<T>[],
  work: (results: readonly T[]) => Promise<R>,
  { signal, progress }: ReadInputsOptions,
): Promise<R> {
  for (;;) {
    const inputs = await allOrAbort(edges, signal, (edge, task) => edge.result.get(task));
    // Work that is slow to stop must not lose its inputs when the jobs of these have gone.
    const kept = inputs.map(({ shared }) => shared.retain());
    try {
      return await work(inputs.map(({ result }) => result));
    } catch (error) {
      if (signal.aborted || !LayerLostError.is(error)) throw error;
      const discredited = await Promise.all(inputs.map((held, place) => edges[place]?.discredit(held)));
      if (!discredited.includes(true)) throw error;
      const note = `[cache] ${error.message}; what came from cache is made anew\n`;
      progress.log(2, new TextEncoder().encode(note));
    } finally {
      for (const result of kept) result.release();
    }
  }
}
