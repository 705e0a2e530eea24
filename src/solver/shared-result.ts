/** A result with several holders. It is released, once, when the last of them lets go. */
export class SharedResult<T> {
  readonly value: T;
  readonly #release: ((value: T) => void) | undefined;
  #holders = 1;

  /** The maker is the first holder. */
  constructor(value: T, release: ((value: T) => void) | undefined) {
    this.value = value;
    this.#release = release;
  }

  retain(): this {
    if (this.#holders === 0) throw new Error("Cannot retain a released result");
    this.#holders++;
    return this;
  }

  release(): void {
    if (this.#holders === 0) throw new Error("Cannot release a result twice");
    this.#holders--;
    if (this.#holders === 0) this.#release?.(this.value);
  }
}
