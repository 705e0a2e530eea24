import { subjects } from "../../bus/index.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { encode } from "../../util/msgpack.ts";

const delayMs = 100;

/** Tells agents which layers builds have used, also those that only answered a look-up: their clean-up goes by it. */
export class LayerUseReports implements Disposable {
  readonly #bus: MessageBus;
  readonly #used = new Set<LayerId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: MessageBus) {
    this.#bus = bus;
  }

  /** A build has let go of the layer. */
  used(id: LayerId): void {
    this.#used.add(id);
    this.#timer ??= setTimeout(() => this.#send(), delayMs).unref();
  }

  /** Sends what is left. */
  [Symbol.dispose](): void {
    if (this.#timer !== undefined) this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bus.publish(subjects.layersUsed, encode([...this.#used]));
    this.#used.clear();
  }
}
