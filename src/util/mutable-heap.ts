/**
 * A binary heap whose items may change their place: `first(a, b)` says that `a` comes out before `b`. An item is in it once. To put
 * and to delete takes logarithmic time.
 */
export class MutableHeap<T> {
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();
  readonly #first: (a: T, b: T) => boolean;

  constructor(first: (a: T, b: T) => boolean) {
    this.#first = first;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item, or finds the place of one that has changed. */
  put(item: T): void {
    const at = this.#places.get(item) ?? this.#items.push(item) - 1;
    this.#down(this.#up(at, item), item);
  }

  /** Does nothing for an item that is not there. */
  delete(item: T): void {
    const at = this.#places.get(item);
    if (at === undefined) return;
    this.#places.delete(item);
    const last = this.#items.pop() as T;
    if (last !== item) this.#down(this.#up(at, last), last);
  }

  #up(from: number, item: T): number {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#items[parent] as T;
      if (!this.#first(item, above)) break;
      this.#set(at, above);
      at = parent;
    }
    this.#set(at, item);
    return at;
  }

  #down(from: number, item: T): void {
    const items = this.#items;
    let at = from;
    for (let child = 2 * at + 1; child < items.length; child = 2 * at + 1) {
      const right = child + 1;
      if (right < items.length && this.#first(items[right] as T, items[child] as T)) child = right;
      const below = items[child] as T;
      if (!this.#first(below, item)) break;
      this.#set(at, below);
      at = child;
    }
    this.#set(at, item);
  }

  #set(at: number, item: T): void {
    this.#items[at] = item;
    this.#places.set(item, at);
  }
}
