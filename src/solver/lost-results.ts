import type { CacheKey } from "./cache-key.ts";
import type { HeldResult } from "./cached-result.ts";
import type { Loss } from "./loss.ts";

/** The results of an edge that were lost. Others still refer to their keys. */
export class LostResults<T> {
  readonly #results = new Set<HeldResult<T>>();

  add(held: HeldResult<T>): void {
    this.#results.add(held);
    for (const key of held.cacheKeys) if (key.fresh?.result === held.result) key.fresh = undefined;
  }

  find(loss: Loss<T>): HeldResult<T> | undefined {
    return [...this.#results].find(({ result }) => loss.names(result));
  }

  /** What was made anew under these keys counts for the same keys of what was lost. */
  replacedBy(keys: readonly CacheKey<T>[]): void {
    for (const lost of [...this.#results].flatMap(({ cacheKeys }) => cacheKeys)) {
      lost.fresh ??= keys.find((key) => key.equals(lost))?.fresh;
    }
  }
}
