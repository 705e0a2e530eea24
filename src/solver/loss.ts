import { LayerLostError } from "../core/errors/layer-lost-error.ts";
import type { CacheRecord, SolverCache } from "./cache.ts";
import type { SolveContext } from "./solve-context.ts";

/**
 * An error that says that results cannot be read. Those it names are forgotten (SolverEdge.discredit), all at once: nobody
 * begins to make one again from another that is lost as well. Dispose of it then.
 */
export class Loss<T> implements AsyncDisposable {
  readonly #error: Error;
  readonly #context: SolveContext<T>;
  /** Records that are worth nothing any more, with the cache that gave them. */
  readonly #records = new Map<CacheRecord<T>, SolverCache<T>>();

  private constructor(error: Error, context: SolveContext<T>) {
    this.#error = error;
    this.#context = context;
  }

  /** @returns undefined for an error that is about something else */
  static of<T>(error: unknown, context: SolveContext<T>): Loss<T> | undefined {
    return LayerLostError.is(error) ? new Loss(error, context) : undefined;
  }

  names(result: T): boolean {
    return this.#context.isLost(this.#error, result);
  }

  discredit(record: CacheRecord<T>, cache: SolverCache<T>): void {
    this.#records.set(record, cache);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const records = [...this.#records];
    this.#records.clear();
    await Promise.all(records.map(([record, cache]) => cache.release(record)));
  }
}
