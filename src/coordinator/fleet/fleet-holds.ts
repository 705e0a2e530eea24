import { type LiveCoordinators, subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

export interface FleetHoldsOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly coordinators: LiveCoordinators;
  /** Layers that builds of this coordinator hold. */
  readonly held: () => Iterable<LayerId>;
}

const answerTimeoutMs = 2000;

/** Which layers running builds hold, of all coordinators: tells the others and asks them. */
export class FleetHolds implements Disposable {
  readonly #options: FleetHoldsOptions;
  readonly #subscription: Disposable;

  constructor(options: FleetHoldsOptions) {
    this.#options = options;
    this.#subscription = options.bus.subscribe(subjects.layersHeld(options.coordinatorId), (message) =>
      message.respond(encode([...options.held()])),
    );
  }

  /** As far as coordinators answer. */
  async known(signal: AbortSignal): Promise<ReadonlySet<LayerId>> {
    const answers = await Promise.allSettled(this.#others().map((id) => this.#ask(id, signal)));
    signal.throwIfAborted();
    return this.#joined(answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : [])));
  }

  /** @throws BuildError Unavailable when a coordinator does not answer */
  async all(signal: AbortSignal): Promise<ReadonlySet<LayerId>> {
    const { coordinators, clock } = this.#options;
    if (coordinators.unsettledMs > 0) await clock.sleep(coordinators.unsettledMs, signal);
    return this.#joined(await Promise.all(this.#others().map((id) => this.#ask(id, signal))));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #others(): readonly string[] {
    return this.#options.coordinators.ids.filter((id) => id !== this.#options.coordinatorId);
  }

  #joined(answers: readonly (readonly LayerId[])[]): ReadonlySet<LayerId> {
    return new Set([...this.#options.held(), ...answers.flat()]);
  }

  async #ask(id: string, signal: AbortSignal): Promise<readonly LayerId[]> {
    try {
      const options = { timeoutMs: answerTimeoutMs, signal };
      return decode<LayerId[]>(await this.#options.bus.request(subjects.layersHeld(id), encode({}), options));
    } catch (error) {
      signal.throwIfAborted();
      throw new BuildError(Code.Unavailable, `coordinator ${id} does not say which layers it holds`, { cause: error });
    }
  }
}
