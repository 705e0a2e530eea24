import { withSignal } from "./abort.ts";

/**
 * Joins callers who want the same work at the same time (BuildKit util/flightcontrol). The work is aborted only when the last
 * caller has gone; its outcome is shared and then forgotten.
 */
export class FlightControl<T> {
  readonly #flights = new Map<
    string,
    { readonly promise: Promise<T>; readonly abort: AbortController; waiters: number }
  >();

  async do(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      const abort = new AbortController();
      const promise = (async () => work(abort.signal))();
      flight = { promise, abort, waiters: 0 };
      this.#flights.set(key, flight);
      const mine = flight;
      const forget = () => {
        if (this.#flights.get(key) === mine) this.#flights.delete(key);
      };
      promise.then(forget, forget);
    }
    flight.waiters++;
    try {
      return await withSignal(flight.promise, signal);
    } finally {
      flight.waiters--;
      if (flight.waiters === 0) {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.abort.abort(signal?.reason);
      }
    }
  }
}
