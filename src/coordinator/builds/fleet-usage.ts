import { subjects } from "../../bus/index.ts";
import { BuildError, type WireError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { PruneOptions, UsageRecord } from "../../core/values/agent.ts";
import type { AgentControlRequest } from "../../core/values/agent-control.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "../fleet/agent-registry.ts";

const usageTimeoutMs = 30_000;
const pruneTimeoutMs = 600_000;

type AgentControlReply = readonly UsageRecord[] | { readonly error: WireError };

/** Disk usage of the whole fleet: asks every agent and merges. */
export class FleetUsage {
  readonly #bus: MessageBus;
  readonly #registry: AgentRegistry;
  readonly #logger: Logger;

  constructor(bus: MessageBus, registry: AgentRegistry, logger: Logger) {
    this.#bus = bus;
    this.#registry = registry;
    this.#logger = logger;
  }

  async usage(signal: AbortSignal): Promise<readonly UsageRecord[]> {
    return this.#ask({ op: "usage" }, usageTimeoutMs, signal);
  }

  /** Removes what matches on every agent. @param inUse layers of running builds, which stay */
  async prune(options: PruneOptions, inUse: readonly LayerId[], signal: AbortSignal): Promise<readonly UsageRecord[]> {
    return this.#ask({ op: "prune", options, inUse }, pruneTimeoutMs, signal);
  }

  /** Removes these layers wherever they are, but for running builds and tasks. */
  async drop(ids: readonly LayerId[], signal: AbortSignal): Promise<void> {
    await this.#ask({ op: "drop", ids }, pruneTimeoutMs, signal);
  }

  async #ask(request: AgentControlRequest, timeoutMs: number, signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const data = encode(request);
    const answers = await Promise.all(
      this.#registry.agents.map(async ({ id }) => {
        const lost = new AbortController();
        using _listener = this.#registry.listen({
          agentHeard: () => {},
          agentLost: (lostId, reason) => {
            if (lostId === id) lost.abort(new BuildError(Code.Unavailable, `agent ${id} was lost: ${reason}`));
          },
        });
        const options = { timeoutMs, signal: AbortSignal.any([signal, lost.signal]) };
        try {
          const reply = decode<AgentControlReply>(await this.#bus.request(subjects.agentControl(id), data, options));
          if ("error" in reply) throw BuildError.fromWire(reply.error);
          return reply;
        } catch (error) {
          signal.throwIfAborted();
          this.#logger.warn("agent does not answer", { agent: id, op: request.op, error: String(error) });
          return [];
        }
      }),
    );
    return answers.flat();
  }
}
