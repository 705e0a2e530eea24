import { type LiveCoordinators, subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { LayerReleaseRequest } from "../../core/values/agent-control.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

export interface ReleasePollOptions {
  readonly agentId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly coordinators: LiveCoordinators;
}

const answerTimeoutMs = 2000;
const retryMs = 500;

/**
 * Asks all coordinators whether layers may go. One that says yes takes this agent for a holder of them no more, so that no
 * build begins to count on what is being removed; `layersDropped` tells it later what became of them.
 */
export class ReleasePoll {
  readonly #options: ReleasePollOptions;

  constructor(options: ReleasePollOptions) {
    this.#options = options;
  }

  /**
   * Those of the layers that running builds hold.
   * @param patient waits for a coordinator that does not answer until it counts as gone
   * @throws BuildError Unavailable when a coordinator does not answer, or none was heard: nothing may go then
   */
  async held(ids: readonly LayerId[], patient: boolean, signal: AbortSignal): Promise<ReadonlySet<LayerId>> {
    const { clock, coordinators } = this.#options;
    if (coordinators.unsettledMs > 0) await clock.sleep(coordinators.unsettledMs, signal);
    const { ids: alive } = coordinators;
    // Cut off from the bus nobody can be asked, and nobody could be told.
    if (alive.length === 0) throw new BuildError(Code.Unavailable, "no coordinator is heard");
    const answers = await Promise.all(alive.map((id) => this.#ask(id, ids, patient, signal)));
    return new Set(answers.flat());
  }

  async #ask(
    coordinatorId: string,
    ids: readonly LayerId[],
    patient: boolean,
    signal: AbortSignal,
  ): Promise<readonly LayerId[]> {
    const { bus, agentId, clock, coordinators } = this.#options;
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
      if (!coordinators.ids.includes(coordinatorId)) return [];
      await clock.sleep(retryMs, signal);
    }
  }
}
