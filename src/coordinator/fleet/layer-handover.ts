import pLimit from "p-limit";
import type { Logger } from "../../core/seams/logger.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { HandedOver } from "../../core/values/agent-control.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { AgentControl } from "./agent-control.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FleetHolds } from "./fleet-holds.ts";
import type { FleetResultStorage } from "./fleet-result-storage.ts";
import { takers, takersOf } from "./handover-takers.ts";
import type { LayerCatalog } from "./layer-catalog.ts";

export interface LayerHandoverOptions {
  readonly registry: Pick<AgentRegistry, "agents" | "get">;
  readonly catalog: Pick<LayerCatalog, "all" | "get">;
  readonly results: Pick<FleetResultStorage, "all">;
  readonly holds: Pick<FleetHolds, "known">;
  readonly agents: Pick<AgentControl, "askOne">;
  readonly dispatcher: TaskDispatcher;
  /** Of nobody: what only a client has is not fetched. */
  readonly sessions: SessionGroup;
  readonly logger: Logger;
}

export type HandedOverLayers = Omit<HandedOver, "cacheMounts">;

/** Layers on their way at the same time. */
const concurrency = 8;
const usageTimeoutMs = 30_000;
const noProgress = { status: () => {}, log: () => {}, warn: () => {} };

/**
 * Gives what only one agent has to others, before it leaves: layers that cached results or running builds stand on, and that
 * neither another agent that stays nor a registry has. What was used last goes first; layers that stand on each other go to the
 * same agent.
 */
export class LayerHandover {
  readonly #options: LayerHandoverOptions;

  constructor(options: LayerHandoverOptions) {
    this.#options = options;
  }

  /** @throws the signal's reason */
  async run(agentId: string, signal: AbortSignal): Promise<HandedOverLayers> {
    const sole = await this.#sole(agentId, signal);
    if (sole.size === 0 || takers(this.#options.registry, agentId).length === 0)
      return { layers: 0, bytes: 0, left: sole.size };
    const limit = pLimit(concurrency);
    const moves = (await this.#newestFirst(agentId, sole, signal)).map((info) =>
      limit(async () => ((await this.#move(info, originOf(info, sole), agentId, signal)) ? [info] : [])),
    );
    const moved = (await Promise.all(moves)).flat();
    signal.throwIfAborted();
    const bytes = moved.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { layers: moved.length, bytes, left: sole.size - moved.length };
  }

  async #sole(agentId: string, signal: AbortSignal): Promise<ReadonlyMap<LayerId, LayerInfo>> {
    const { catalog, results, holds, registry } = this.#options;
    const wanted = new Set(await holds.known(signal));
    for (const [, layers] of results.all()) for (const id of layers) wanted.add(id);
    const stays = (holder: string) => holder !== agentId && registry.get(holder)?.draining === false;
    const isSole = ({ id, holders, origins }: LayerInfo) =>
      wanted.has(id) &&
      holders.includes(agentId) &&
      !holders.some(stays) &&
      !origins.some(({ kind }) => kind === "registry");
    return new Map([...catalog.all()].filter(isSole).map((info) => [info.id, info]));
  }

  async #newestFirst(
    agentId: string,
    sole: ReadonlyMap<LayerId, LayerInfo>,
    signal: AbortSignal,
  ): Promise<readonly LayerInfo[]> {
    const usage = await this.#options.agents.askOne(agentId, { op: "usage" }, usageTimeoutMs, signal);
    return usage.toSorted((a, b) => b.lastUsedAt - a.lastUsedAt).flatMap(({ id }) => sole.get(id as LayerId) ?? []);
  }

  /** @returns whether another agent has the layer now */
  async #move({ id }: LayerInfo, key: string, agentId: string, signal: AbortSignal): Promise<boolean> {
    const { dispatcher, sessions, logger } = this.#options;
    for (const taker of takersOf(key, this.#options.registry, agentId)) {
      if (signal.aborted) return false;
      const context = { signal, sessions, progress: noProgress, constraints: [`id==${taker}`] };
      try {
        await dispatcher.run("materialize", { ref: { layers: [id] } }, context);
        return true;
      } catch (error) {
        if (!signal.aborted) logger.warn("layer is not handed over", { layer: id, taker, error: String(error) });
      }
    }
    return false;
  }
}

/** The lowest of the layers that this one stands on. */
function originOf({ id, parent }: LayerInfo, sole: ReadonlyMap<LayerId, LayerInfo>): LayerId {
  const below = parent === undefined ? undefined : sole.get(parent);
  return below === undefined ? id : originOf(below, sole);
}
