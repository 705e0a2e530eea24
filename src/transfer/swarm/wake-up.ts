/** Wakes all who wait, whenever something has changed. */
export class WakeUp {
  readonly #waiting = new Set<() => void>();

  all(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next `all`, after `ms`, or when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.max(0, ms));
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
