import { setImmediate as nextTurn } from "node:timers/promises";
import type { CacheKeyStorage } from "../../core/seams/cache-storage.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { UsageRecord } from "../../core/values/agent.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import type { FleetHolds } from "./fleet-holds.ts";
import type { FleetResultStorage } from "./fleet-result-storage.ts";
import type { KnownAgents } from "./known-agents.ts";
import type { LayerCatalog } from "./layer-catalog.ts";
import type { LayerOrigins } from "./layer-origins.ts";

export interface IndexCleanerOptions {
  readonly catalog: LayerCatalog;
  readonly origins: LayerOrigins;
  readonly results: FleetResultStorage;
  readonly keys: CacheKeyStorage;
  readonly holds: Pick<FleetHolds, "all">;
  readonly cacheMounts: Pick<FleetCacheMounts, "agents" | "forgetAgent">;
  readonly agents: KnownAgents;
  readonly sessionIsLive: (id: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** BuildKit control/control.go does it at most so often. */
const intervalMs = 300_000;
/** A result of which no agent has any layer is kept for so long after it was made: it costs little to have it again. */
const lazyTermMs = 7 * 86_400_000;

/** Others get their turn after so many. */
const entriesPerTurn = 1000;

/**
 * Removes dead entries from the index: layers that nobody has, results that stand on them, keys that lead to none, agents that
 * do not come back. Regularly, after a prune, and when the last holder of a layer removes it. Coordinators may do so at the
 * same time: whatever a running build of any of them holds stays, and deleting twice is deleting once.
 */
export class IndexCleaner implements AsyncDisposable {
  readonly #options: IndexCleanerOptions;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  /** Without any key in the last round: they may have been about to get one. */
  #keyless: ReadonlySet<string> = new Set();
  /** End of the last round: rounds do not overlap. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: IndexCleanerOptions) {
    this.#options = options;
    // Not all coordinators at the same moment.
    this.#timer = setInterval(() => void this.clean(), intervalMs * (1 + Math.random() / 2));
    this.#timer.unref();
  }

  /** Nobody has the layers any more. */
  async forgetLayers(gone: ReadonlySet<LayerId>): Promise<void> {
    const { catalog, origins } = this.#options;
    await this.#forgetResults((layers) => layers.some((id) => gone.has(id) || gone.has(catalog.current(id))));
    await origins.forget(await catalog.forget([...gone]));
  }

  /** @param thorough also drops results of which a layer is on no agent, though it could be had from outside again */
  async pruned(records: readonly UsageRecord[], thorough: boolean): Promise<void> {
    for (const [agentId, ofAgent] of Map.groupBy(records, (record) => record.agentId)) {
      await this.#options.catalog.dropHolder(
        ofAgent.map(({ id }) => id as LayerId),
        agentId,
      );
    }
    await this.clean(thorough);
  }

  /** Never rejects: what could not be cleaned now is cleaned later. */
  clean(thorough = false): Promise<void> {
    const before = this.#turn;
    this.#turn = (async () => {
      await before;
      try {
        if (!this.#stop.signal.aborted) await this.#clean(thorough);
      } catch (error) {
        if (!this.#stop.signal.aborted) this.#options.logger.warn("index is not cleaned now", { error: String(error) });
      }
    })();
    return this.#turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#turn;
  }

  async #clean(thorough: boolean): Promise<void> {
    const { catalog, origins, results, keys, holds, clock, logger } = this.#options;
    await this.#forgetAgents();
    const held = await holds.all(this.#stop.signal);
    const saved = await this.#newestKeys();
    const oldest = clock.now() - lazyTermMs;
    const isLost = (id: LayerId) => !held.has(id) && !this.#canBeHad(catalog.recorded(id));
    const isLazy = (id: LayerId) => !held.has(id) && (catalog.recorded(id)?.holders ?? []).length === 0;
    const keyless = new Set<string>();
    const forgotten = await this.#forgetResults((layers, id) => {
      const savedAt = saved.get(id);
      if (savedAt === undefined) keyless.add(id);
      return (
        layers.some(isLost) ||
        (layers.every(isLazy) && (thorough || (savedAt ?? 0) < oldest)) ||
        (thorough && layers.some(isLazy)) ||
        (savedAt === undefined && this.#keyless.has(id))
      );
    });
    this.#keyless = keyless;
    for (const id of saved.keys()) if (!(await results.exists(id))) await keys.release(id);
    await keys.releaseUnreferenced();
    const unused = this.#layersWithoutUse(held);
    await origins.forget(await catalog.discard(unused));
    if (forgotten + unused.length > 0) {
      logger.info("cleaned the index", { results: forgotten, layers: unused.length });
    }
  }

  async #forgetAgents(): Promise<void> {
    const { catalog, cacheMounts, agents, logger } = this.#options;
    const byHolder = new Map<string, LayerId[]>();
    for (const { id, holders } of catalog.all()) {
      for (const holder of holders) {
        const ids = byHolder.get(holder);
        if (ids === undefined) byHolder.set(holder, [id]);
        else ids.push(id);
      }
    }
    for (const agentId of await agents.gone([...byHolder.keys(), ...cacheMounts.agents])) {
      const ids = byHolder.get(agentId) ?? [];
      logger.info("agent does not come back, its layers are forgotten", { agent: agentId, layers: ids.length });
      await catalog.dropHolder(ids, agentId);
      await cacheMounts.forgetAgent(agentId);
      await agents.forget(agentId);
    }
  }

  /** Results that keys lead to, with the time when they were stored last. */
  async #newestKeys(): Promise<ReadonlyMap<string, number>> {
    const { keys } = this.#options;
    const newest = new Map<string, number>();
    let count = 0;
    for await (const key of keys.keys()) {
      for (const { id, createdAt } of await keys.results(key)) {
        newest.set(id, Math.max(createdAt, newest.get(id) ?? 0));
      }
      if (++count % entriesPerTurn === 0) await nextTurn();
    }
    return newest;
  }

  /** With their keys. @returns how many */
  async #forgetResults(isUnwanted: (layers: readonly LayerId[], id: string) => boolean): Promise<number> {
    const { results, keys } = this.#options;
    const ids: string[] = [];
    let count = 0;
    for (const [id, layers] of results.all()) {
      if (isUnwanted(layers, id)) ids.push(id);
      if (++count % entriesPerTurn === 0) await nextTurn();
    }
    await results.delete(ids);
    for (const id of ids) await keys.release(id);
    return ids.length;
  }

  /** Layers that no agent has, no result stands on and no build holds. */
  #layersWithoutUse(held: ReadonlySet<LayerId>): readonly LayerId[] {
    const { catalog, results } = this.#options;
    const used = new Set(held);
    for (const [, layers] of results.all()) for (const id of layers) used.add(id).add(catalog.current(id));
    return [...catalog.all()].filter(({ id, holders }) => holders.length === 0 && !used.has(id)).map(({ id }) => id);
  }

  #canBeHad(info: LayerInfo | undefined): boolean {
    if (info === undefined) return false;
    const { holders, origins } = info;
    return (
      holders.length > 0 ||
      origins.some((origin) => origin.kind === "registry" || this.#options.sessionIsLive(origin.sessionId))
    );
  }
}
