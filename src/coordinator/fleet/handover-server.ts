import { subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { BusMessage, MessageBus } from "../../core/seams/message-bus.ts";
import type { HandedOver, HandoverReply, HandoverRequest } from "../../core/values/agent-control.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentHandover } from "./agent-handover.ts";
import type { AgentRegistry } from "./agent-registry.ts";

export interface HandoverServerOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly registry: Pick<AgentRegistry, "listen">;
  readonly handover: Pick<AgentHandover, "run">;
  readonly logger: Logger;
}

/** An answer comes within this time; it takes as many as are needed. */
const answerMs = 3000;

interface Round {
  readonly handed: Promise<HandedOver>;
  readonly abort: AbortController;
}

/** Hands over what draining agents alone have, when they ask for it. It goes on between an agent's questions, and ends with the agent. */
export class HandoverServer implements AsyncDisposable {
  readonly #options: HandoverServerOptions;
  /** By agent. */
  readonly #rounds = new Map<string, Round>();
  readonly #owned = new DisposableStack();

  constructor(options: HandoverServerOptions) {
    this.#options = options;
    const { bus, coordinatorId, registry } = options;
    this.#owned.use(bus.subscribe(subjects.handover(coordinatorId), (message) => void this.#answer(message)));
    this.#owned.use(registry.listen({ agentHeard: () => {}, agentLost: (id) => this.#end(id, `agent ${id} is gone`) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#owned.dispose();
    const rounds = [...this.#rounds.entries()];
    for (const [agentId] of rounds) this.#end(agentId, "coordinator is shutting down");
    await Promise.allSettled(rounds.map(([, { handed }]) => handed));
  }

  async #answer(message: BusMessage): Promise<void> {
    const { agentId } = decode<HandoverRequest>(message.data);
    message.respond(encode(await this.#reply(agentId)));
  }

  async #reply(agentId: string): Promise<HandoverReply | { readonly error: object }> {
    const round = this.#rounds.get(agentId) ?? this.#begin(agentId);
    const answered = new AbortController();
    const pause = this.#options.clock.sleep(answerMs, answered.signal).catch(() => {});
    try {
      const handed = await Promise.race([round.handed, pause]);
      if (handed === undefined) return { done: false };
      this.#rounds.delete(agentId);
      return { done: true, ...handed };
    } catch (error) {
      this.#rounds.delete(agentId);
      this.#options.logger.warn("what an agent has is not handed over", { agent: agentId, error: String(error) });
      return { error: BuildError.from(error).toWire() };
    } finally {
      answered.abort();
    }
  }

  #begin(agentId: string): Round {
    const abort = new AbortController();
    const round = { handed: this.#options.handover.run(agentId, abort.signal), abort };
    // Whoever asks next hears of it.
    round.handed.catch(() => {});
    this.#rounds.set(agentId, round);
    return round;
  }

  #end(agentId: string, reason: string): void {
    this.#rounds.get(agentId)?.abort.abort(new BuildError(Code.Unavailable, reason));
    this.#rounds.delete(agentId);
  }
}
