import { Semaphore } from "./semaphore.ts";

/** A number of slots for each key, given out in order of asking. */
export class KeyedSemaphore {
  readonly #slots: number;
  readonly #lines = new Map<string, { readonly slots: Semaphore; users: number }>();

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Waits for a slot; dispose gives it back. Rejects with the signal's reason, holding nothing. */
  async acquire(key: string, signal: AbortSignal): Promise<Disposable> {
    const line = this.#lines.get(key) ?? { slots: new Semaphore(this.#slots), users: 0 };
    this.#lines.set(key, line);
    line.users++;
    const leave = () => {
      if (--line.users === 0) this.#lines.delete(key);
    };
    try {
      await line.slots.acquire(signal);
    } catch (error) {
      leave();
      throw error;
    }
    return {
      [Symbol.dispose]: () => {
        line.slots.release();
        leave();
      },
    };
  }
}
