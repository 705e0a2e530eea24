import { type LiveCoordinators, MemoryKeyValueStore } from "../bus/index.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { KeyValueStore } from "../core/seams/key-value.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import { serveMetrics } from "../telemetry/index.ts";
import { steadyClock } from "../util/system-clock.ts";
import type { RulesOfBuilds } from "./builds/build-rules.ts";
import type { AgentRegistry } from "./fleet/agent-registry.ts";
import { CatalogLocations } from "./fleet/catalog-locations.ts";
import { FleetDispatcher, type PlacedTask } from "./fleet/fleet-dispatcher.ts";
import { FleetScheduler } from "./fleet/fleet-scheduler.ts";
import type { LayerCatalog } from "./fleet/layer-catalog.ts";
import type { LayerOrigins } from "./fleet/layer-origins.ts";
import { openCacheMounts } from "./fleet/open-cache-mounts.ts";
import { TaskPlanner } from "./fleet/task-planner.ts";
import type { TaskSessions } from "./fleet/task-sessions.ts";
import { TracingDispatcher } from "./fleet/tracing-dispatcher.ts";
import { FleetMetrics } from "./metrics/fleet-metrics.ts";
import { MeteredDispatcher } from "./metrics/metered-dispatcher.ts";
import type { HeldLayers } from "./ops/held-layers.ts";
import type { debuggedVertices } from "./scheduler-debug.ts";
import { openPlanning } from "./scheduling/open-planning.ts";

export interface DispatchOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly keyValues: KeyValueStore;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly held: HeldLayers;
  readonly origins: LayerOrigins;
  readonly coordinators: LiveCoordinators;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly agentLinkAddress: string;
  readonly taskSessions: TaskSessions;
  readonly rules: RulesOfBuilds;
  readonly sessionIsLive: (id: string) => boolean;
  /** Says of a vertex that its placement is logged. */
  readonly debugs: ReturnType<typeof debuggedVertices>;
  /** `host:port`; undefined: figures are served nowhere. */
  readonly metricsListen: string | undefined;
  /** Nobody else takes a lock then, and none outlives the process. */
  readonly onlyAgentIsHere: boolean;
  readonly onPlaced: ((placed: PlacedTask) => void) | undefined;
}

/** All that brings tasks to agents. Its parts belong to `owned`. */
export async function openDispatch(options: DispatchOptions, owned: AsyncDisposableStack) {
  const { coordinatorId, bus, keyValues, registry, catalog, held, origins, coordinators, clock, logger } = options;
  const { rules } = options;
  const lockStore = options.onlyAgentIsHere ? new MemoryKeyValueStore() : keyValues;
  const cacheMounts = await openCacheMounts(
    {
      coordinatorId,
      bus,
      registry,
      index: await keyValues.open("cache-mounts"),
      locks: await lockStore.open("cache-mount-locks"),
      clock,
      logger,
    },
    owned,
  );
  const planning = await openPlanning(keyValues, owned);
  const scheduler = owned.use(
    new FleetScheduler({ coordinatorId, registry, clock: steadyClock, locations: new CatalogLocations(catalog) }),
  );
  const metrics = new FleetMetrics({
    agents: () => registry.agents,
    queue: () => scheduler.queued,
    buildsRunning: () => rules.size,
  });
  if (options.metricsListen !== undefined) {
    const { address } = owned.use(await serveMetrics(options.metricsListen, metrics.registry));
    logger.info("metrics are served", { address });
  }
  const planner = new TaskPlanner({
    registry,
    history: planning.history,
    cacheMounts,
    shareOf: (builds) => rules.shareOf(builds),
    logger,
  });
  const dispatcher = owned.use(
    new FleetDispatcher({
      coordinatorId,
      agentLinkAddress: () => options.agentLinkAddress,
      bus,
      clock,
      logger,
      registry,
      catalog,
      scheduler,
      planner,
      origins,
      coordinatorLives: (id) => coordinators.unsettledMs > 0 || coordinators.ids.includes(id),
      sessions: options.taskSessions,
      cacheMounts,
      holdLayers: (ids) => held.pin(ids),
      sessionIsLive: options.sessionIsLive,
      onFetched: (bytes) => metrics.bytesFetched(bytes),
      onPlaced: (placed) => {
        options.onPlaced?.(placed);
        metrics.taskPlaced(placed.kind, placed.waitedMs);
        const { kind, agentId, vertex } = placed;
        if (vertex === undefined || !options.debugs({ ...vertex, inputs: [] })) return;
        logger.debug("scheduler: task placed", { kind, agent: agentId, vertex: vertex.digest, name: vertex.name });
      },
    }),
  );
  return {
    cacheMounts,
    planning,
    metrics,
    dispatcher,
    tasks: new TracingDispatcher(new MeteredDispatcher(dispatcher, metrics)),
  };
}
