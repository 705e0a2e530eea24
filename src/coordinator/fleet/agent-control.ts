import { subjects } from "../../bus/index.ts";
import { BuildError, type WireError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { AgentControlReplies, AgentControlRequest } from "../../core/values/agent-control.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";

/** Asks agents: one, or all at once; then one that is lost or does not answer in time is left out, with a warning. */
export class AgentControl {
  readonly #bus: MessageBus;
  readonly #registry: AgentRegistry;
  readonly #logger: Logger;

  constructor(bus: MessageBus, registry: AgentRegistry, logger: Logger) {
    this.#bus = bus;
    this.#registry = registry;
    this.#logger = logger;
  }

  /** @throws the signal's reason */
  async ask<K extends AgentControlRequest["op"]>(
    request: AgentControlRequest & { readonly op: K },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<AgentControlReplies[K][]> {
    const data = encode(request);
    const answers = this.#registry.agents.map(async ({ id }) => {
      try {
        return [await this.#askOne<AgentControlReplies[K]>(id, data, timeoutMs, signal)];
      } catch (error) {
        signal.throwIfAborted();
        this.#logger.warn("agent does not answer", { agent: id, op: request.op, error: String(error) });
        return [];
      }
    });
    return (await Promise.all(answers)).flat(1) as AgentControlReplies[K][];
  }

  /** @throws BuildError Unavailable when the agent is lost, DeadlineExceeded when it does not answer; what it answers with */
  async askOne<K extends AgentControlRequest["op"]>(
    id: string,
    request: AgentControlRequest & { readonly op: K },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<AgentControlReplies[K]> {
    return this.#askOne(id, encode(request), timeoutMs, signal);
  }

  async #askOne<R extends object>(id: string, data: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<R> {
    const lost = new AbortController();
    using _listener = this.#registry.listen({
      agentHeard: () => {},
      agentLost: (lostId, reason) => {
        if (lostId === id) lost.abort(new BuildError(Code.Unavailable, `agent ${id} was lost: ${reason}`));
      },
    });
    const options = { timeoutMs, signal: AbortSignal.any([signal, lost.signal]) };
    const answer = await this.#bus.request(subjects.agentControl(id), data, options);
    const reply = decode<R | { readonly error: WireError }>(answer);
    if ("error" in reply) throw BuildError.fromWire(reply.error);
    return reply;
  }
}
