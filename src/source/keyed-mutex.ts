import { withSignal } from "../util/abort.ts";

/** One holder per key at a time, in order of arrival. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits for its turn; dispose the answer to let the next one in. @throws the signal's reason */
  async lock(key: string, signal: AbortSignal): Promise<Disposable> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = before.then(() => held);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    try {
      await withSignal(before, signal);
    } catch (error) {
      release();
      throw error;
    }
    return { [Symbol.dispose]: release };
  }
}
