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
import type { FleetHolds } from "../fleet/fleet-holds.ts";
import type { IndexCleaner } from "../fleet/index-cleaner.ts";

const usageTimeoutMs = 30_000;
const pruneTimeoutMs = 600_000;

type AgentControlReply = readonly UsageRecord[] | { readonly error: WireError };

export interface FleetUsageOptions {
  readonly bus: MessageBus;
  readonly registry: AgentRegistry;
  readonly holds: Pick<FleetHolds, "known">;
  readonly index: Pick<IndexCleaner, "pruned">;
  readonly logger: Logger;
}

/** Disk usage of the whole fleet: asks every agent and merges. */
export class FleetUsage {
  readonly #options: FleetUsageOptions;

  constructor(options: FleetUsageOptions) {
    this.#options = options;
  }

  async usage(signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const [records, held] = await Promise.all([
      this.#ask({ op: "usage" }, usageTimeoutMs, signal),
      this.#options.holds.known(signal),
    ]);
    return records.map((record) => (held.has(record.id as LayerId) ? { ...record, inUse: true } : record));
  }

  /** Removes what matches on every agent, each by itself, and from the index what is dead then. */
  async prune(options: PruneOptions, signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const inUse = [...(await this.#options.holds.known(signal))];
    const pruned = await this.#ask({ op: "prune", options, inUse }, pruneTimeoutMs, signal);
    const { filter, keepDurationMs, reservedSpace, maxUsedSpace, minFreeSpace } = options;
    const limits = keepDurationMs + reservedSpace + maxUsedSpace + minFreeSpace;
    await this.#options.index.pruned(pruned, filter.length === 0 && limits === 0);
    return pruned;
  }

  /** Removes these layers wherever they are, but for running builds and tasks. */
  async drop(ids: readonly LayerId[], signal: AbortSignal): Promise<void> {
    await this.#ask({ op: "drop", ids }, pruneTimeoutMs, signal);
  }

  async #ask(request: AgentControlRequest, timeoutMs: number, signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const { bus, registry, logger } = this.#options;
    const data = encode(request);
    const answers = await Promise.all(
      registry.agents.map(async ({ id }) => {
        const lost = new AbortController();
        using _listener = registry.listen({
          agentHeard: () => {},
          agentLost: (lostId, reason) => {
            if (lostId === id) lost.abort(new BuildError(Code.Unavailable, `agent ${id} was lost: ${reason}`));
          },
        });
        const options = { timeoutMs, signal: AbortSignal.any([signal, lost.signal]) };
        try {
          const reply = decode<AgentControlReply>(await bus.request(subjects.agentControl(id), data, options));
          if ("error" in reply) throw BuildError.fromWire(reply.error);
          return reply;
        } catch (error) {
          signal.throwIfAborted();
          logger.warn("agent does not answer", { agent: id, op: request.op, error: String(error) });
          return [];
        }
      }),
    );
    return answers.flat();
  }
}
