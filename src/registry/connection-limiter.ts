/**
 * Bounds what is asked of one registry at a time: `size` transfers, and one more for JSON (manifests, configs), so that
 * metadata never waits behind layers (BuildKit util/resolver/limited).
 */
export class ConnectionLimiter {
  readonly #size: number;
  readonly #registries = new Map<string, { readonly blobs: Slots; readonly all: Slots }>();

  constructor(size = 4) {
    this.#size = size;
  }

  /** Waits for a slot; dispose the answer to give it back (more than once does nothing). */
  async acquire(registry: string, kind: "json" | "blob", signal: AbortSignal): Promise<Disposable> {
    let slots = this.#registries.get(registry);
    if (slots === undefined) {
      slots = { blobs: new Slots(this.#size), all: new Slots(this.#size + 1) };
      this.#registries.set(registry, slots);
    }
    const { blobs, all } = slots;
    if (kind === "blob") await blobs.take(signal);
    try {
      await all.take(signal);
    } catch (error) {
      if (kind === "blob") blobs.give();
      throw error;
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        all.give();
        if (kind === "blob") blobs.give();
      },
    };
  }
}

/** First come, first served. */
class Slots {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(size: number) {
    this.#free = size;
  }

  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const granted = () => {
        signal.removeEventListener("abort", aborted);
        resolve();
      };
      const aborted = () => {
        this.#queue.delete(granted);
        reject(signal.reason);
      };
      this.#queue.add(granted);
      signal.addEventListener("abort", aborted, { once: true });
    });
  }

  give(): void {
    const next = this.#queue.values().next().value;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#queue.delete(next);
    next();
  }
}
