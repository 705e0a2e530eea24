/**
 * Single-consumer async queue with a bound: `push` resolves once there is room, so a fast producer waits for a slow consumer.
 * `end` lets the consumer drain what is queued; `fail` drops what is queued and throws at the consumer.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  readonly #limit: number;
  #head = 0;
  #ended = false;
  #error: unknown;
  #failed = false;
  #wakeConsumer: (() => void) | undefined;
  #wakeProducers: (() => void)[] = [];

  /** @param limit items held before `push` waits; default 64 */
  constructor(limit = 64) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** @returns false when the queue has ended and the item was dropped */
  async push(item: T): Promise<boolean> {
    await this.whenRoom();
    return this.offer(item);
  }

  /** Resolves once fewer items than the limit are held, or the queue has ended. */
  async whenRoom(): Promise<void> {
    while (!this.#ended && this.size >= this.#limit) {
      await new Promise<void>((resolve) => this.#wakeProducers.push(resolve));
    }
  }

  /** Adds without waiting, beyond the limit if need be. */
  offer(item: T): boolean {
    if (this.#ended) return false;
    this.#items.push(item);
    this.#wakeConsumer?.();
    return true;
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failed = true;
    this.#error = error;
    this.#items.length = 0;
    this.#head = 0;
    this.#wake();
  }

  #wake(): void {
    this.#wakeConsumer?.();
    const producers = this.#wakeProducers;
    this.#wakeProducers = [];
    for (const wake of producers) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        if (this.#head < this.#items.length) {
          const item = this.#items[this.#head] as T;
          this.#head++;
          if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
            this.#items.splice(0, this.#head);
            this.#head = 0;
          } else if (this.#head === this.#items.length) {
            this.#items.length = 0;
            this.#head = 0;
          }
          this.#wakeProducers.shift()?.();
          yield item;
          continue;
        }
        if (this.#failed) throw this.#error;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve;
        });
        this.#wakeConsumer = undefined;
      }
    } finally {
      this.end();
    }
  }
}
