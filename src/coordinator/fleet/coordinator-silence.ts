import { subjects } from "../../bus/index.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { CoordinatorBeat } from "../../core/values/agent-control.ts";
import { decode } from "../../util/msgpack.ts";

/** As many beats of our own came back while nothing was heard of another: it is gone. They are a second apart. */
const maxSilentBeats = 6;
/** Long gone: nobody asks for it. */
const forgottenBeats = 3600;

/**
 * Which other coordinators live. Their silence is counted in heartbeats of our own that the bus brings back, so neither a bus
 * that was away nor a process that could not listen makes them look dead.
 */
export class CoordinatorSilence implements Disposable {
  readonly #ownId: string;
  readonly #silentBeats = new Map<string, number>();
  readonly #subscription: Disposable;

  constructor(ownId: string, bus: MessageBus) {
    this.#ownId = ownId;
    this.#subscription = bus.subscribe(subjects.allCoordinatorHeartbeats, ({ data }) =>
      this.#hear(decode<CoordinatorBeat>(data)),
    );
  }

  /** Somebody else is heard. */
  get any(): boolean {
    return [...this.#silentBeats.values()].some((beats) => beats < maxSilentBeats);
  }

  /** One never heard of counts as alive for as long as one that fell silent now. */
  isGone(id: string): boolean {
    const beats = this.#silentBeats.get(id);
    if (beats === undefined) this.#silentBeats.set(id, 0);
    return (beats ?? 0) >= maxSilentBeats;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #hear({ id, leaving = false }: CoordinatorBeat): void {
    if (id !== this.#ownId) {
      this.#silentBeats.set(id, leaving ? maxSilentBeats : 0);
      return;
    }
    for (const [other, beats] of this.#silentBeats) {
      if (beats >= forgottenBeats) this.#silentBeats.delete(other);
      else this.#silentBeats.set(other, beats + 1);
    }
  }
}
