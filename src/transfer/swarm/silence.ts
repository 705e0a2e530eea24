import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** A timer that is later than this was held up, and so was all that may have come meanwhile. */
const lateMs = 100;

/** Aborts, with an infrastructure error, once nothing has been heard of a peer for too long. */
export class Silence implements Disposable {
  readonly #abort = new AbortController();
  readonly #ms: number;
  readonly #heardAt: () => number;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;

  /**
   * @param ms counted from its making, at first
   * @param heardAt when something was heard last, in the time of `now`
   */
  constructor(ms: number, heardAt: () => number, now: () => number) {
    this.#ms = ms;
    this.#heardAt = heardAt;
    this.#now = now;
    this.#wait(ms);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    this.#dueAt = this.#now() + ms;
    this.#timer = setTimeout(() => this.#look(), ms);
  }

  #look(): void {
    const now = this.#now();
    const left = (now > this.#dueAt + lateMs ? now : this.#heardAt()) + this.#ms - now;
    if (left <= 0) {
      const text = `nothing was heard of the peer for ${this.#ms} ms`;
      this.#abort.abort(new BuildError(Code.Unavailable, text, { infrastructure: true }));
    } else this.#wait(left);
  }
}
