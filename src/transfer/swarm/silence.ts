/** Aborts once nothing has been heard for too long. */
export class Silence implements Disposable {
  readonly #abort = new AbortController();
  readonly #ms: number;
  readonly #heardAt: () => number;
  readonly #now: () => number;
  #timer: NodeJS.Timeout;

  /**
   * @param ms counted from its making, at first
   * @param heardAt when something was heard last, in the time of `now`
   */
  constructor(ms: number, heardAt: () => number, now: () => number) {
    this.#ms = ms;
    this.#heardAt = heardAt;
    this.#now = now;
    this.#timer = setTimeout(() => this.#look(), ms);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const left = this.#heardAt() + this.#ms - this.#now();
    if (left <= 0) this.#abort.abort(new Error(`nothing was heard for ${this.#ms} ms`));
    else this.#timer = setTimeout(() => this.#look(), left);
  }
}
