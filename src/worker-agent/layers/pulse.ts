import { Silence } from "../../transfer/index.ts";

/** How often a peer is asked that says nothing of itself. */
const beatMs = 250;

export interface PulseOptions {
  /** Resolves when the peer has answered. */
  readonly ping: (signal: AbortSignal) => Promise<void>;
  /** A peer not heard of for this long has gone. */
  readonly silenceMs: number;
  /** Milliseconds, of a clock that does not jump. */
  readonly now: () => number;
}

/**
 * Looks whether a peer that is waited for is still there. One whose machine has gone breaks no connection: who waits for what
 * takes it long, such as a layer being cut, would wait for as long as that may take.
 */
export class Pulse implements Disposable {
  readonly #options: PulseOptions;
  readonly #silence: Silence;
  readonly #end = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #heardAt: number;
  #asking = false;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#heardAt = options.now();
    this.#silence = new Silence(options.silenceMs, () => this.#heardAt, options.now);
    this.#timer = setInterval(() => void this.#beat(), beatMs);
  }

  /** Aborts when the peer has gone. */
  get signal(): AbortSignal {
    return this.#silence.signal;
  }

  /** To be called when something has come from the peer. */
  heard(): void {
    this.#heardAt = this.#options.now();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#silence[Symbol.dispose]();
    this.#end.abort();
  }

  async #beat(): Promise<void> {
    if (this.#asking || this.#options.now() - this.#heardAt < beatMs) return;
    this.#asking = true;
    try {
      await this.#options.ping(AbortSignal.any([this.#end.signal, this.signal]));
      this.heard();
    } catch {
      // That is silence.
    } finally {
      this.#asking = false;
    }
  }
}
