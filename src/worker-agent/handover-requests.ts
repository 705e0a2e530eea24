import { type LiveCoordinators, subjects } from "../bus/index.ts";
import { BuildError, type WireError } from "../core/errors/build-error.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { HandedOver, HandoverReply, HandoverRequest } from "../core/values/agent-control.ts";
import { decode, encode } from "../util/msgpack.ts";
import { rendezvous } from "../util/rendezvous.ts";

export interface HandoverRequestsOptions {
  readonly agentId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly coordinators: Pick<LiveCoordinators, "ids" | "unsettledMs">;
  readonly logger: Logger;
}

/** A coordinator answers within three seconds, done or not. */
const answerTimeoutMs = 10_000;
const retryMs = 500;

/** Asks one coordinator to give others what only this agent has; the next one when that does not answer. */
export class HandoverRequests {
  readonly #options: HandoverRequestsOptions;

  constructor(options: HandoverRequestsOptions) {
    this.#options = options;
  }

  /**
   * @returns what came of it; undefined when no coordinator is heard
   * @throws the signal's reason
   */
  async run(signal: AbortSignal): Promise<HandedOver | undefined> {
    const { agentId, coordinators, clock, logger } = this.#options;
    for (let failures = 0; ; ) {
      signal.throwIfAborted();
      if (coordinators.ids.length === 0) await clock.sleep(coordinators.unsettledMs, signal);
      const alive = rendezvous(agentId, coordinators.ids);
      const coordinator = alive[failures % alive.length];
      if (coordinator === undefined) return undefined;
      try {
        const reply = await this.#ask(coordinator, signal);
        if (reply.done) return reply;
      } catch (error) {
        signal.throwIfAborted();
        failures++;
        logger.debug("coordinator hands nothing over", { coordinator, error: String(error) });
        await clock.sleep(retryMs, signal);
      }
    }
  }

  async #ask(coordinator: string, signal: AbortSignal): Promise<HandoverReply> {
    const { bus, agentId } = this.#options;
    const request = encode({ agentId } satisfies HandoverRequest);
    const answer = await bus.request(subjects.handover(coordinator), request, { timeoutMs: answerTimeoutMs, signal });
    const reply = decode<HandoverReply | { readonly error: WireError }>(answer);
    if ("error" in reply) throw BuildError.fromWire(reply.error);
    return reply;
  }
}
