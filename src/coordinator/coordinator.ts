import { join } from "node:path";
import { CheckedKeyValueStore, LiveCoordinators } from "../bus/index.ts";
import type { FrontDoorConfig, RegistryConfigs } from "../config/index.ts";
import { LocalContentStore } from "../content/index.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { KeyValueStore } from "../core/seams/key-value.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { Ref } from "../core/values/layer.ts";
import { llbCapabilities } from "../llb/capabilities.ts";
import { mergedVertex } from "../llb/definition/index.ts";
import { RegistryClient, RegistryHosts } from "../registry/index.ts";
import { ManagedSessionGroup, SessionManager, TracingSessionGroup } from "../session/index.ts";
import { Solver } from "../solver/index.ts";
import { ImageResolver } from "../source/index.ts";
import { decodeSpans, otlpForwarder } from "../telemetry/index.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import { systemClock } from "../util/system-clock.ts";
import { buildkitVersion, dockerfileVersion, packageName, version } from "../version.ts";
import { bucketChecks } from "./bucket-checks.ts";
import { admitDefinition, RulesOfBuilds } from "./builds/build-rules.ts";
import { FleetBuildService } from "./builds/fleet-build-service.ts";
import { FleetUsage } from "./builds/fleet-usage.ts";
import { SourceMetaResolver } from "./builds/source-meta-resolver.ts";
import { TracingBuildService } from "./builds/tracing-build-service.ts";
import { CacheExports } from "./caching/cache-exports.ts";
import { BuildExplainer, FleetListings } from "./explain/index.ts";
import { cacheExportersOf, cacheImportersOf, exportersOf } from "./exporting/builtin-exporters.ts";
import { DebugService } from "./failures/debug-service.ts";
import { evaluateEdge } from "./failures/evaluate-edge.ts";
import { FailedSteps } from "./failures/failed-steps.ts";
import { FailureNotingResolver } from "./failures/failure-noting-resolver.ts";
import { AgentControl } from "./fleet/agent-control.ts";
import { AgentHandover } from "./fleet/agent-handover.ts";
import { AgentRegistry } from "./fleet/agent-registry.ts";
import { CacheMountHandover } from "./fleet/cache-mount-handover.ts";
import type { PlacedTask } from "./fleet/fleet-dispatcher.ts";
import { HandoverServer } from "./fleet/handover-server.ts";
import { isLost } from "./fleet/is-lost.ts";
import { LayerCatalog } from "./fleet/layer-catalog.ts";
import { LayerHandover } from "./fleet/layer-handover.ts";
import { LayerOrigins } from "./fleet/layer-origins.ts";
import { LayerUseReports } from "./fleet/layer-use-reports.ts";
import { TaskSessions } from "./fleet/task-sessions.ts";
import { createFrontDoor } from "./front-door/index.ts";
import { frontendsOf } from "./gateway/builtin-frontends.ts";
import { FleetHistory, TraceRecorder } from "./history/index.ts";
import { listenForAgents, listenForClients } from "./listening.ts";
import { openDispatch } from "./open-dispatch.ts";
import { openIndex } from "./open-index.ts";
import { FleetOps } from "./ops/fleet-ops.ts";
import { HeldLayers } from "./ops/held-layers.ts";
import { ResolvedSources } from "./ops/resolved-sources.ts";
import { TracingOpResolver } from "./ops/tracing-op-resolver.ts";
import { loadProvenanceEnvironment } from "./provenance/index.ts";
import { debuggedVertices } from "./scheduler-debug.ts";

const defaultKeepFailedMs = 600_000;
/** Whatever their size: clean-up takes them when room is short. */
const defaultKeepFailedSteps = 20;

export interface CoordinatorOptions {
  readonly id: string;
  readonly frontDoor: FrontDoorConfig;
  readonly registries: RegistryConfigs;
  /** Both stay the caller's. */
  readonly bus: MessageBus;
  readonly keyValues: KeyValueStore;
  /** This coordinator's own, kept over restarts: the logs of its builds. */
  readonly stateDir: string;
  /** Where agents dial in; absent when the only agent is in this process. */
  readonly agentLink?: { readonly listen: string; readonly advertise?: string; readonly tls?: MutualTls };
  /** `host:port` for Prometheus; absent: nothing is served. */
  readonly metricsListen?: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly onPlaced?: (placed: PlacedTask) => void;
  /** Runs when all is ready and before the first client can connect. */
  readonly beforeListening?: (parts: Pick<Coordinator, "taskSessions" | "registry">) => Promise<void>;
}

/** The fleet's head: front door, sessions, solver, dispatch. Dispose cancels running builds and stops listening. */
export class Coordinator implements AsyncDisposable {
  /** Addresses clients can use, with real ports. */
  readonly addresses: readonly string[];
  /** Where agents dial in; empty when the only agent is in this process. */
  readonly agentLinkAddress: string;
  /** Opens the sessions of a task; for an agent in this process. */
  readonly taskSessions: TaskSessions;
  readonly registry: AgentRegistry;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    addresses: readonly string[],
    agentLinkAddress: string,
    taskSessions: TaskSessions,
    registry: AgentRegistry,
    owned: AsyncDisposableStack,
  ) {
    this.addresses = addresses;
    this.agentLinkAddress = agentLinkAddress;
    this.taskSessions = taskSessions;
    this.registry = registry;
    this.#owned = owned;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    await using owned = new AsyncDisposableStack();
    const { bus, logger, frontDoor } = options;
    const keyValues = new CheckedKeyValueStore(options.keyValues, bucketChecks, logger);
    const clock = options.clock ?? systemClock;
    const taskSessions = new TaskSessions();
    const debugs = debuggedVertices(process.env);
    const agentLinkAddress = await listenForAgents(options.agentLink, taskSessions, logger, owned);

    const sessions = new SessionManager({ logger, clock });
    const registry = owned.use(new AgentRegistry({ coordinatorId: options.id, bus, logger }));
    const uses = owned.use(new LayerUseReports(bus));
    const held: HeldLayers = new HeldLayers((id) => {
      uses.used(id);
      catalog.letGo(id);
    });
    const layers = await keyValues.open("layers");
    const catalog: LayerCatalog = owned.use(await LayerCatalog.open(layers, (id) => held.has(id)));
    const origins = new LayerOrigins(await keyValues.open("lineage"), logger);
    const coordinators = owned.use(new LiveCoordinators(bus));
    const sessionIsLive = (id: string) => id === "" || sessions.ids.includes(id);
    const rules = new RulesOfBuilds();
    const { cacheMounts, planning, metrics, dispatcher, tasks } = await openDispatch(
      {
        ...{ coordinatorId: options.id, bus, keyValues, registry, catalog, held, origins, coordinators, clock, logger },
        ...{ agentLinkAddress, taskSessions, rules, sessionIsLive, debugs },
        metricsListen: options.metricsListen,
        onlyAgentIsHere: options.agentLink === undefined,
        onPlaced: options.onPlaced,
      },
      owned,
    );
    const index = await openIndex(
      {
        ...{ coordinatorId: options.id, bus, keyValues, registry, catalog, held, cacheMounts },
        ...{ origins, coordinators, clock, logger, sessionIsLive },
        canBeHad: (info) => dispatcher.canBeHad(info),
      },
      owned,
    );
    const sessionGroup = (ids: readonly string[]) => TracingSessionGroup.of(new ManagedSessionGroup(sessions, ids));
    const hosts = owned.use(new RegistryHosts(options.registries));
    const registryClient = new RegistryClient({ hosts, logger });
    const images = new ImageResolver({ registry: registryClient });
    const entitlements = new Set(frontDoor.insecureEntitlements);
    const resolvedSources = new ResolvedSources();
    const devices = () => registry.devices();
    const ops = new FleetOps({
      dispatcher: tasks,
      images,
      resolvedSources,
      recordLayers: (layers) => catalog.record(layers),
      forgetCacheMounts: (uses, sessionIds) => cacheMounts.forget(uses, sessionIds),
      solveNested: async (parent, definition, context) => {
        const { signal } = context;
        const edge = await admitDefinition(definition, rules.of(solver.jobsOf(parent)), [], devices, signal);
        planning.ranks.note(edge.vertex);
        const { result } = await solver.buildNested(parent, edge, { signal });
        return result;
      },
      work: planning.work,
      devices,
      entitlements: () => [...entitlements],
    });
    const agentControl = new AgentControl(bus, registry, logger);
    const ofFleet = { registry, dispatcher, logger, sessions: new ManagedSessionGroup(sessions, []) };
    const handover = new AgentHandover(
      new LayerHandover({ ...ofFleet, catalog, agents: agentControl, results: index.results, holds: index.holds }),
      new CacheMountHandover({ ...ofFleet, cacheMounts }),
    );
    owned.use(new HandoverServer({ coordinatorId: options.id, bus, clock, logger, registry, handover }));
    const usage = new FleetUsage({ agents: agentControl, holds: index.holds, index: index.cleaner });
    const stopped = new AbortController();
    owned.defer(() => stopped.abort());
    const failedSteps = owned.use(
      new FailedSteps({
        clock,
        keepMs: frontDoor.keepFailedMs ?? defaultKeepFailedMs,
        maxSteps: frontDoor.keepFailedSteps ?? defaultKeepFailedSteps,
        pin: (layers) => held.pin(layers),
        drop: (layers) => usage.drop(layers, stopped.signal).catch(() => {}),
      }),
    );
    const solver: Solver<Ref> = new Solver<Ref>({
      resolver: held.resolver(
        new TracingOpResolver(new FailureNotingResolver(ops, (failure) => failedSteps.note(failure))),
      ),
      cache: index.cache,
      clock,
      logger,
      sessionGroup,
      debugs,
      mergeVertices: mergedVertex,
      isLost: (error, ref) => isLost(error, ref, catalog),
      releaseResult: (ref) => held.release(ref),
    });
    const traces = owned.use(new TraceRecorder(bus));
    const history = owned.use(
      await FleetHistory.open({
        coordinatorId: options.id,
        keyValues,
        store: await LocalContentStore.open(join(options.stateDir, "history")),
        bus,
        clock,
        logger,
        limits: frontDoor.history,
        traces,
      }),
    );
    const builds = new FleetBuildService({
      solver,
      onBuildEnded: (build) => metrics.buildEnded(build),
      onGraph: (root) => planning.ranks.note(root),
      dispatcher: tasks,
      registry,
      usage,
      failedSteps,
      sourceMeta: new SourceMetaResolver(images, tasks, resolvedSources),
      sessions: sessionGroup,
      exporters: exportersOf(registryClient),
      cacheExporters: cacheExportersOf(registryClient),
      cacheExports: new CacheExports({ releaseResult: (ref) => held.release(ref) }),
      cacheImports: {
        importers: cacheImportersOf(registryClient),
        recordLayers: (layers) => catalog.record(layers),
        held: (inner) => held.results(inner),
      },
      frontends: frontendsOf(frontDoor, logger),
      layer: (id) => catalog.require(id),
      indexCaughtUp: () => index.caughtUp(),
      entitlements,
      provenanceEnvironment: await loadProvenanceEnvironment(frontDoor.provenanceEnvDir),
      history,
      rules,
      logger,
    });
    const debug = new DebugService({
      failedSteps,
      history,
      dispatcher: tasks,
      evaluate: (edge, signal) => evaluateEdge(solver, edge, signal),
      layer: (id) => catalog.get(id),
      isAvailable: (info) => dispatcher.isAvailable(info),
      agentTakesTasks: (id) => registry.get(id)?.draining === false,
      sessionIsLive: (id) => sessions.ids.includes(id),
      sessions: sessionGroup,
    });
    const forwardTraces = otlpForwarder(process.env);
    const server = createFrontDoor({
      logger,
      builds: new TracingBuildService(builds),
      sessions,
      history,
      explainer: new BuildExplainer({ history, listings: new FleetListings(agentControl), logger }),
      content: history.content,
      traceSink: async (request, signal) => {
        traces.add(decodeSpans(request));
        await forwardTraces?.(request, signal);
      },
      llbCapabilities: [...llbCapabilities],
      version: {
        package: packageName,
        version: buildkitVersion,
        revision: version,
        dockerfileVersion,
      },
      clock,
    });
    debug.register(server);
    owned.defer(() => server.close());
    await options.beforeListening?.({ taskSessions, registry });
    const addresses = await listenForClients(server, frontDoor, owned);
    logger.info("coordinator started", { id: options.id, addresses, agentLink: agentLinkAddress });
    return new Coordinator(addresses, agentLinkAddress, taskSessions, registry, owned.move());
  }
}
