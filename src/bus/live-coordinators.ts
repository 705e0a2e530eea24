import type { MessageBus } from "../core/seams/message-bus.ts";
import type { CoordinatorBeat } from "../core/values/agent-control.ts";
import { decode } from "../util/msgpack.ts";
import { subjects } from "./subjects.ts";

/** Coordinators beat every second: by then all of them were heard. */
const settleMs = 3000;
/** A coordinator silent for this long is gone, and its builds with it. */
const silenceMs = 20_000;

export interface LiveCoordinatorsTimes {
  /** After a start, until all coordinators were heard; default 3 s. */
  readonly settleMs?: number;
  /** Until a silent coordinator counts as gone; default 20 s. */
  readonly silenceMs?: number;
}

/** The coordinators that are heard on the bus. */
export class LiveCoordinators implements Disposable {
  /** By a clock that does not jump. */
  readonly #heard = new Map<string, number>();
  readonly #subscription: Disposable;
  readonly #silenceMs: number;
  readonly #settledAt: number;

  constructor(bus: MessageBus, times: LiveCoordinatorsTimes = {}) {
    this.#silenceMs = times.silenceMs ?? silenceMs;
    this.#settledAt = performance.now() + (times.settleMs ?? settleMs);
    this.#subscription = bus.subscribe(subjects.allCoordinatorHeartbeats, ({ data }) => {
      const { id, leaving } = decode<CoordinatorBeat>(data);
      if (leaving) this.#heard.delete(id);
      else this.#heard.set(id, performance.now());
    });
  }

  get ids(): readonly string[] {
    const now = performance.now();
    for (const [id, heardAt] of this.#heard) if (now - heardAt > this.#silenceMs) this.#heard.delete(id);
    return [...this.#heard.keys()];
  }

  /** Milliseconds until one that lives has been heard for certain. */
  get unsettledMs(): number {
    return Math.max(0, this.#settledAt - performance.now());
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
