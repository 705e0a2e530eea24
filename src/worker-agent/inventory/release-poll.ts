import { subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { CoordinatorBeat, LayerReleaseRequest } from "../../core/values/agent-control.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

export interface ReleasePollOptions {
  readonly agentId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  /** After a start, until all coordinators were heard; default 3 s: they beat every second. */
  readonly settleMs?: number;
  /** A coordinator silent for this long is gone, and its builds with it; default 20 s. */
  readonly silenceMs?: number;
}

const answerTimeoutMs = 2000;
const retryMs = 500;

/**
 * Asks all coordinators whether layers may go. One that says yes takes this agent for a holder of them no more, so that no
 * build begins to count on what is being removed; `layersDropped` tells it later what became of them.
 */
export class ReleasePoll implements Disposable {
  readonly #options: ReleasePollOptions;
  /** By a clock that does not jump. */
  readonly #heard = new Map<string, number>();
  readonly #subscription: Disposable;
  readonly #settledAt: number;

  constructor(options: ReleasePollOptions) {
    this.#options = options;
    this.#settledAt = options.clock.now() + (options.settleMs ?? 3000);
    this.#subscription = options.bus.subscribe(subjects.allCoordinatorHeartbeats, ({ data }) => {
      const { id, leaving } = decode<CoordinatorBeat>(data);
      if (leaving) this.#heard.delete(id);
      else this.#heard.set(id, performance.now());
    });
  }

  /**
   * Those of the layers that running builds hold.
   * @param patient waits for a coordinator that does not answer until it counts as gone
   * @throws BuildError Unavailable when a coordinator does not answer, or none was heard: nothing may go then
   */
  async held(ids: readonly LayerId[], patient: boolean, signal: AbortSignal): Promise<ReadonlySet<LayerId>> {
    const { clock } = this.#options;
    const wait = this.#settledAt - clock.now();
    if (wait > 0) await clock.sleep(wait, signal);
    const coordinators = this.#alive();
    // Cut off from the bus nobody can be asked, and nobody could be told.
    if (coordinators.length === 0) throw new BuildError(Code.Unavailable, "no coordinator is heard");
    const answers = await Promise.all(coordinators.map((id) => this.#ask(id, ids, patient, signal)));
    return new Set(answers.flat());
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #alive(): readonly string[] {
    const { silenceMs = 20_000 } = this.#options;
    const now = performance.now();
    for (const [id, heardAt] of this.#heard) if (now - heardAt > silenceMs) this.#heard.delete(id);
    return [...this.#heard.keys()];
  }

  async #ask(
    coordinatorId: string,
    ids: readonly LayerId[],
    patient: boolean,
    signal: AbortSignal,
  ): Promise<readonly LayerId[]> {
    const { bus, agentId, clock } = this.#options;
    const request: LayerReleaseRequest = { agentId, ids };
    const options = { timeoutMs: answerTimeoutMs, signal };
    for (;;) {
      try {
        return decode<LayerId[]>(await bus.request(subjects.layerRelease(coordinatorId), encode(request), options));
      } catch (error) {
        signal.throwIfAborted();
        if (!patient) {
          throw new BuildError(Code.Unavailable, `coordinator ${coordinatorId} does not answer`, { cause: error });
        }
      }
      if (!this.#alive().includes(coordinatorId)) return [];
      await clock.sleep(retryMs, signal);
    }
  }
}
