import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { withSignal } from "../util/abort.ts";

interface Flight {
  readonly abort: AbortController;
  /** Settles with the work and never rejects. */
  readonly done: Promise<void>;
  waiters: number;
}

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/**
 * Work that is done once for everybody who asks, at most one run at a time.
 *
 * - The outcome is kept until somebody has it forgotten: later callers get the value or the error at once.
 * - When the last caller goes away (its signal aborts) the work's own signal aborts, one turn of the event loop later: a caller
 *   who hands over to another in the same turn does not cost a restart.
 * - An aborted run has no outcome. A caller who comes while it winds down waits for its end and starts a new run.
 */
export class SharedTask<T> {
  readonly #work: (signal: AbortSignal) => Promise<T>;
  #closed = false;
  #flight: Flight | undefined;
  #outcome: Outcome<T> | undefined;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  /** @throws the work's error, the signal's reason, or Canceled once closed */
  async get(signal: AbortSignal): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw canceled();
      if (this.#outcome?.ok === true) return this.#outcome.value;
      if (this.#outcome !== undefined) throw this.#outcome.error;
      this.#flight ??= this.#start();
      const flight = this.#flight;
      if (flight.abort.signal.aborted) {
        await withSignal(flight.done, signal);
        continue;
      }
      flight.waiters++;
      try {
        await withSignal(flight.done, signal);
      } finally {
        flight.waiters--;
        if (flight.waiters === 0 && this.#flight === flight) setImmediate(() => this.#abortUnwanted(flight));
      }
    }
  }

  /** What the work came to, for who does not wait: undefined until then. */
  get outcome(): Outcome<T> | undefined {
    return this.#outcome;
  }

  /** True when `value` is its outcome. */
  has(value: T): boolean {
    return this.#outcome?.ok === true && this.#outcome.value === value;
  }

  /** Whoever asks from now on has the work done again, if `value` is its outcome. */
  forget(value: T): void {
    if (this.has(value)) this.#outcome = undefined;
  }

  /** Nobody gets anything any more. Resolves when what runs has come to rest. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#flight !== undefined) await this.#flight.done;
  }

  #abortUnwanted(flight: Flight): void {
    if (flight.waiters > 0 || this.#flight !== flight) return;
    flight.abort.abort(canceled());
  }

  #start(): Flight {
    const abort = new AbortController();
    return { abort, done: this.#run(abort.signal), waiters: 0 };
  }

  async #run(signal: AbortSignal): Promise<void> {
    // Never on the caller's stack: a chain of ten thousand vertices must not recurse.
    await undefined;
    try {
      this.#outcome = { ok: true, value: await this.#work(signal) };
    } catch (error) {
      if (!signal.aborted) this.#outcome = { ok: false, error };
    } finally {
      this.#flight = undefined;
    }
  }
}

function canceled(): BuildError {
  return new BuildError(Code.Canceled, "context canceled");
}
