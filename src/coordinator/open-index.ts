import type { LiveCoordinators } from "../bus/index.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { KeyValueStore } from "../core/seams/key-value.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { LayerInfo, Ref } from "../core/values/layer.ts";
import { CacheManager, KeyValueCacheKeyStorage } from "../solver/index.ts";
import { withSignal } from "../util/abort.ts";
import type { AgentRegistry } from "./fleet/agent-registry.ts";
import type { FleetCacheMounts } from "./fleet/fleet-cache-mounts.ts";
import { FleetHolds } from "./fleet/fleet-holds.ts";
import { FleetResultStorage } from "./fleet/fleet-result-storage.ts";
import { IndexCleaner } from "./fleet/index-cleaner.ts";
import { KnownAgents } from "./fleet/known-agents.ts";
import type { LayerCatalog } from "./fleet/layer-catalog.ts";
import type { LayerOrigins } from "./fleet/layer-origins.ts";
import { LayerReleases } from "./fleet/layer-releases.ts";
import type { HeldLayers } from "./ops/held-layers.ts";

export interface IndexOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly keyValues: KeyValueStore;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly held: HeldLayers;
  readonly cacheMounts: FleetCacheMounts;
  readonly origins: LayerOrigins;
  readonly coordinators: LiveCoordinators;
  readonly canBeHad: (info: LayerInfo) => Promise<boolean>;
  readonly sessionIsLive: (id: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** NATS answers in a millisecond. Without it a build begins with what is known here. */
const catchUpMs = 1000;

/** The cache index of the fleet as one coordinator sees it. Its parts belong to `owned`. */
export async function openIndex(options: IndexOptions, owned: AsyncDisposableStack) {
  const { coordinatorId, bus, keyValues, registry, catalog, origins, coordinators, held, clock, logger } = options;
  const results = owned.use(
    await FleetResultStorage.open(
      await keyValues.open("results"),
      (id) => catalog.find(id),
      (info) => options.canBeHad(info),
    ),
  );
  const keys = owned.use(await KeyValueCacheKeyStorage.open(await keyValues.open("cache-keys")));
  const holds = owned.use(
    new FleetHolds({
      coordinatorId,
      bus,
      clock,
      coordinators,
      held: () => [...held.layers.flatMap((id) => [id, catalog.current(id)]), ...catalog.recent],
    }),
  );
  const cleaner = owned.use(
    new IndexCleaner({
      catalog,
      origins,
      results,
      keys,
      holds,
      cacheMounts: options.cacheMounts,
      agents: new KnownAgents(await keyValues.open("agents"), registry, clock),
      sessionIsLive: options.sessionIsLive,
      clock,
      logger,
    }),
  );
  owned.use(
    new LayerReleases({
      coordinatorId,
      bus,
      catalog,
      isHeld: (id) => catalog.namesOf(id).some((name) => held.has(name)),
      forgetLayers: (gone) => cleaner.forgetLayers(gone),
      logger,
    }),
  );
  /** Resolves when what any coordinator had written before the call can be found here, or cannot be had in time. */
  const caughtUp = async () => {
    const mirrors = Promise.all([catalog, results, keys].map((mirror) => mirror.caughtUp()));
    await withSignal(mirrors, AbortSignal.timeout(catchUpMs)).catch((error) => {
      logger.warn("the index may be behind", { error: String(error) });
    });
  };
  const cache = new CacheManager<Ref>({ id: "local", keys, results: held.results(results) });
  return { cache, results, holds, cleaner, caughtUp };
}
