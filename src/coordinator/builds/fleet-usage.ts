import type { PruneOptions, UsageRecord } from "../../core/values/agent.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { AgentControl } from "../fleet/agent-control.ts";
import type { FleetHolds } from "../fleet/fleet-holds.ts";
import type { IndexCleaner } from "../fleet/index-cleaner.ts";

const usageTimeoutMs = 30_000;
const pruneTimeoutMs = 600_000;

export interface FleetUsageOptions {
  readonly agents: AgentControl;
  readonly holds: Pick<FleetHolds, "known">;
  readonly index: Pick<IndexCleaner, "pruned">;
}

/** Disk usage of the whole fleet: asks every agent and merges. */
export class FleetUsage {
  readonly #options: FleetUsageOptions;

  constructor(options: FleetUsageOptions) {
    this.#options = options;
  }

  async usage(signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const [records, held] = await Promise.all([
      this.#options.agents.ask({ op: "usage" }, usageTimeoutMs, signal),
      this.#options.holds.known(signal),
    ]);
    return records.flat().map((record) => (held.has(record.id as LayerId) ? { ...record, inUse: true } : record));
  }

  /** Removes what matches on every agent, each by itself, and from the index what is dead then. */
  async prune(options: PruneOptions, signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const inUse = [...(await this.#options.holds.known(signal))];
    const pruned = (await this.#options.agents.ask({ op: "prune", options, inUse }, pruneTimeoutMs, signal)).flat();
    const { filter, keepDurationMs, reservedSpace, maxUsedSpace, minFreeSpace } = options;
    const limits = keepDurationMs + reservedSpace + maxUsedSpace + minFreeSpace;
    await this.#options.index.pruned(pruned, filter.length === 0 && limits === 0);
    return pruned;
  }

  /** Removes these layers wherever they are, but for running builds and tasks. */
  async drop(ids: readonly LayerId[], signal: AbortSignal): Promise<void> {
    await this.#options.agents.ask({ op: "drop", ids }, pruneTimeoutMs, signal);
  }
}
