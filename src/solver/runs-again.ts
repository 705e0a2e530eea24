import type { Loss } from "./loss.ts";

/** More is no accident. */
const maxRunsAgain = 10;

/** Decides whether a vertex runs again because its results are lost: not for ever. */
export class RunsAgain<T> {
  #count = 0;
  #lastLoss: Loss<T> | undefined;

  /** @param discreditBelow forgets what the loss names of what the vertex runs on; true when it did so */
  admits(result: T, loss: Loss<T>, discreditBelow: () => boolean): boolean {
    if (this.#count === maxRunsAgain) return false;
    // On the same inputs it makes again what it made when it ran for the same loss before.
    const sameAgain = this.#lastLoss?.names(result) === true;
    if (!discreditBelow() && sameAgain) return false;
    this.#count++;
    this.#lastLoss = loss;
    return true;
  }
}
