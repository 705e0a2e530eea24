import { Semaphore } from "../../util/semaphore.ts";

/** Tasks of one kind that look for an agent at the same time. */
const maxSeekers = 16;

/**
 * Tasks that any agent would treat alike wait in line: a slot that comes free concerns the first few of them. Were all to look
 * at it, a wide graph would take time by the square of its width.
 */
export class PlacementQueue {
  readonly #lines = new Map<string, { readonly places: Semaphore; tasks: number }>();

  /** Waits for the task's turn to look for an agent; dispose when it has one, or gives up. */
  async enter(requirements: string, signal: AbortSignal): Promise<Disposable> {
    const line = this.#lines.get(requirements) ?? { places: new Semaphore(maxSeekers), tasks: 0 };
    this.#lines.set(requirements, line);
    line.tasks++;
    const leave = () => {
      if (--line.tasks === 0) this.#lines.delete(requirements);
    };
    try {
      await line.places.acquire(signal);
    } catch (error) {
      leave();
      throw error;
    }
    return {
      [Symbol.dispose]: () => {
        line.places.release();
        leave();
      },
    };
  }
}
