import type { LayerId } from "../../src/core/values/layer.ts";
import { TransferMeter } from "../../src/transfer/index.ts";

/** An agent's link in, and what it measures of it. */
export class SimulatedAgent {
  readonly meter: TransferMeter;
  /** When each layer that was fetched is there, virtual seconds. */
  readonly #there = new Map<LayerId, number>();
  readonly #bytesPerSecond: number;
  #freeAt = 0;

  /** @param now virtual seconds */
  constructor(bytesPerSecond: number, now: () => number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.meter = new TransferMeter(() => now() * 1000);
  }

  /**
   * Fetches layers, one after the other behind what is being fetched already.
   * @returns when all that the task opens is there
   */
  bring(missing: readonly (readonly [LayerId, number])[], opened: readonly LayerId[], now: number): number {
    for (const [layer, bytes] of missing) {
      this.#freeAt = Math.max(this.#freeAt, now) + bytes / this.#bytesPerSecond;
      this.#there.set(layer, this.#freeAt);
    }
    return opened.reduce((latest, layer) => Math.max(latest, this.#there.get(layer) ?? 0), now);
  }
}
