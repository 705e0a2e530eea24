import { withSignal } from "./abort.ts";

interface Flight<T> {
  readonly promise: Promise<T>;
  readonly abort: AbortController;
  waiters: number;
  /** Whoever began the work still waits for it. */
  hasStarter: boolean;
}

/**
 * Joins callers who want the same work at the same time (BuildKit util/flightcontrol). The work is aborted only when the last
 * caller has gone; its outcome is shared and then forgotten. Work that fails after its starter has gone is begun again by
 * those who still wait: it may have failed for want of what the starter gave it, such as its session.
 */
export class FlightControl<T> {
  readonly #flights = new Map<string, Flight<T>>();

  async do(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      const joined = this.#flights.get(key);
      const flight = joined ?? this.#start(key, work);
      try {
        return await this.#wait(key, flight, flight !== joined, signal);
      } catch (error) {
        if (flight !== joined || flight.hasStarter) throw error;
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const abort = new AbortController();
    const flight = { promise: (async () => work(abort.signal))(), abort, waiters: 0, hasStarter: true };
    this.#flights.set(key, flight);
    const forget = () => this.#forget(key, flight);
    flight.promise.then(forget, forget);
    return flight;
  }

  async #wait(key: string, flight: Flight<T>, isStarter: boolean, signal: AbortSignal | undefined): Promise<T> {
    flight.waiters++;
    try {
      return await withSignal(flight.promise, signal);
    } finally {
      flight.waiters--;
      if (isStarter && signal?.aborted) flight.hasStarter = false;
      if (flight.waiters === 0) {
        this.#forget(key, flight);
        flight.abort.abort(signal?.reason);
      }
    }
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
