import type { WorkerRecord } from "../../api/gen/worker.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Exporter, ExporterInstance } from "../../core/seams/exporter.ts";
import type { Frontend } from "../../core/seams/frontend.ts";
import type { LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { CacheExporter } from "../../core/seams/remote-cache.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import { checkFilters } from "../../core/values/containerd-filter.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { checkUsageFilters, usageFilter } from "../../core/values/usage-filter.ts";
import type { LlbVertex } from "../../llb/definition/index.ts";
import type { Solver } from "../../solver/index.ts";
import { checkPolicies } from "../../source-policy/index.ts";
import { buildkitVersion, dockerfileVersion, packageName } from "../../version.ts";
import type { CacheExports } from "../caching/cache-exports.ts";
import { type CacheImportServices, CacheImports } from "../caching/cache-imports.ts";
import { SessionExporters } from "../exporting/session-exporters.ts";
import type { FailedSteps } from "../failures/failed-steps.ts";
import type { AgentRegistry } from "../fleet/agent-registry.ts";
import { matchesWorkerFilters } from "../fleet/worker-filter.ts";
import type {
  ActiveBuild,
  BuildService,
  DiskUsageQuery,
  ExporterEntry,
  PruneQuery,
  SolveParams,
  UsageRecord,
} from "../front-door/index.ts";
import type { FleetHistory } from "../history/index.ts";
import type { EndedBuild } from "../metrics/fleet-metrics.ts";
import { BuildProvenance, InputOrigins, type ProvenanceEnvironment, parseAttestOptions } from "../provenance/index.ts";
import { BuildBridge } from "./build-bridge.ts";
import type { BuildRules, RulesOfBuilds } from "./build-rules.ts";
import { BuildSourceMeta } from "./build-source-meta.ts";
import { BuildSourcePolicy } from "./build-source-policy.ts";
import { withBuiltinFrontend } from "./builtin-frontend.ts";
import { deviceGrants, entitlementName } from "./entitlement.ts";
import { FleetBuild, type SessionExports } from "./fleet-build.ts";
import type { FleetUsage } from "./fleet-usage.ts";
import { requestedShare } from "./requested-share.ts";
import { SessionPolicy } from "./session-policy.ts";
import { jobProgress } from "./solve-progress.ts";
import type { SourceMetaResolver } from "./source-meta-resolver.ts";

export interface FleetBuildServiceOptions {
  readonly solver: Solver<Ref>;
  readonly dispatcher: TaskDispatcher;
  readonly registry: AgentRegistry;
  readonly usage: FleetUsage;
  readonly sourceMeta: SourceMetaResolver;
  readonly sessions: (ids: readonly string[]) => SessionGroup;
  readonly exporters: ReadonlyMap<string, Exporter>;
  readonly cacheExporters: ReadonlyMap<string, CacheExporter>;
  readonly cacheExports: CacheExports;
  readonly cacheImports: CacheImportServices;
  readonly frontends: ReadonlyMap<string, Frontend>;
  readonly layer: (id: LayerId) => LayerInfo;
  /** Resolves when this coordinator's index holds what any of them had reported complete. */
  readonly indexCaughtUp: () => Promise<void>;
  /** Entitlements the operator grants. */
  readonly entitlements: ReadonlySet<string>;
  /** What provenance tells of this builder. */
  readonly provenanceEnvironment: ProvenanceEnvironment;
  readonly failedSteps: FailedSteps;
  readonly history: FleetHistory;
  readonly rules: RulesOfBuilds;
  readonly onBuildEnded: (build: EndedBuild) => void;
  /** Told of every graph that is about to be built. */
  readonly onGraph: (root: LlbVertex) => void;
  readonly logger: Logger;
}

/** Runs builds on the fleet. */
export class FleetBuildService implements BuildService {
  readonly #options: FleetBuildServiceOptions;
  readonly #origins = new InputOrigins();

  constructor(options: FleetBuildServiceOptions) {
    this.#options = options;
  }

  async start(params: SolveParams, signal: AbortSignal): Promise<ActiveBuild> {
    const { solver, dispatcher, frontends, sourceMeta, layer } = this.#options;
    const logger = this.#options.logger.child({ build: params.ref });
    this.#check(params);
    // What was complete anywhere before this build began is a hit for it.
    await this.#options.indexCaughtUp();
    const attest = parseAttestOptions(params.frontendOpt);
    const share = requestedShare(params.ref, params.frontendOpt);
    const exporters = params.exporters.map((entry, index) => this.#exporter(entry, index));
    const cacheExporters = params.cacheExports
      .filter(({ type }) => type !== "inline")
      .map(({ type, attrs, mode, ignoreError }) => {
        const exporter = this.#options.cacheExporters.get(type);
        if (exporter === undefined)
          throw new BuildError(Code.Unknown, `unknown cache exporter: ${JSON.stringify(type)}`);
        return { exporter: resolveCacheExporter(exporter, attrs), mode, ignoreError };
      });
    const sessions = this.#options.sessions(params.sessionId === "" ? [] : [params.sessionId]);
    const trace = params.traceparent === undefined ? {} : { traceparent: params.traceparent };
    const job = solver.newJob(params.ref, {
      sessionIds: sessions.ids,
      compatibilityVersion: params.compatibilityVersion,
      ...trace,
    });
    const provenance = new BuildProvenance({
      graph: solver,
      root: {
        ...withBuiltinFrontend({ frontend: params.frontend, options: params.frontendOpt }),
        inputs: params.frontendInputs,
      },
      origins: this.#origins,
      startedAt: job.startedAt,
      now: Date.now,
      compatibilityVersion: params.compatibilityVersion,
      environment: this.#options.provenanceEnvironment,
    });
    const failures = this.#options.failedSteps.ofBuild({
      ref: params.ref,
      sessionIds: sessions.ids,
      entitlements: params.entitlements,
    });
    const meta = new BuildSourceMeta({ job, resolver: sourceMeta, sessions, ...trace });
    const rules: BuildRules = {
      share,
      entitlements: new Set(params.entitlements),
      sourcePolicy: new BuildSourcePolicy(params.sourcePolicy, sessionPolicy(params, sessions, meta)),
    };
    const registered = this.#options.rules.register(job.id, rules);
    const bridge = new BuildBridge({
      job,
      sessions,
      dispatcher,
      frontends,
      sourceMeta: meta,
      cacheImports: new CacheImports({ ...this.#options.cacheImports, job, sessions, signal, logger }),
      rules,
      devices: () => this.#options.registry.devices(),
      onGraph: this.#options.onGraph,
      workers: () => this.#bridgeWorkers(),
      signal,
      provenance,
      failures,
      ...trace,
    });
    logger.info("build started", { frontend: params.frontend, exporters: params.exporters.map(({ type }) => type) });
    const sessionExports = params.enableSessionExporter
      ? this.#sessionExports(new SessionExporters(sessions, params.sessionId), exporters.length)
      : undefined;
    const recording = params.internal
      ? undefined
      : this.#options.history.record(params, (reader) => jobProgress(job, reader));
    const caching = { exports: this.#options.cacheExports, exporters: cacheExporters };
    const startedMs = performance.now();
    return new FleetBuild({
      params,
      signal,
      job,
      bridge,
      exporters,
      sessionExports,
      caching,
      sessions,
      dispatcher,
      layer,
      recording,
      provenance,
      attest,
      onEnd: (error, steps) => {
        const seconds = (performance.now() - startedMs) / 1000;
        this.#options.onBuildEnded({ failed: error !== undefined, seconds, steps });
        failures.end(error !== undefined);
        registered[Symbol.dispose]();
        provenance[Symbol.dispose]();
        sourceMeta.forget(params.sessionId);
      },
      logger,
    });
  }

  #exporter({ type, attrs }: ExporterEntry, index: number): ExporterInstance {
    const exporter = this.#options.exporters.get(type);
    if (exporter === undefined)
      throw new BuildError(Code.Unknown, `exporter ${JSON.stringify(type)} could not be found`);
    return exporter.resolve(attrs, index);
  }

  #sessionExports(client: SessionExporters, firstIndex: number): SessionExports {
    return {
      find: async ({ metadata }, refIds, signal) => {
        const entries = await client.find(metadata, refIds, signal);
        return entries.map((entry, index) => this.#exporter(entry, firstIndex + index));
      },
      finalize: (response, signal) => client.finalize(response, signal),
    };
  }

  async diskUsage(query: DiskUsageQuery, signal: AbortSignal): Promise<readonly UsageRecord[]> {
    checkUsageFilters(query.filters, "diskusage");
    const records = await this.#options.usage.usage(signal);
    const before = Date.now() - query.ageLimitMs;
    return records
      .filter(usageFilter(query.filters))
      .filter((record) => query.ageLimitMs <= 0 || record.lastUsedAt < before);
  }

  async *prune(query: PruneQuery, signal: AbortSignal): AsyncGenerator<UsageRecord, void, undefined> {
    checkUsageFilters(query.filters, "prune");
    const options = {
      filter: query.filters,
      all: query.all,
      keepDurationMs: query.keepDurationMs,
      reservedSpace: query.reservedSpaceBytes,
      maxUsedSpace: query.maxUsedSpaceBytes,
      minFreeSpace: query.minFreeSpaceBytes,
    };
    yield* await this.#options.usage.prune(options, signal);
  }

  async workers(filters: readonly string[]): Promise<readonly WorkerRecord[]> {
    checkFilters(filters);
    return this.#options.registry.agents.filter((agent) => matchesWorkerFilters(filters, agent)).map(workerRecord);
  }

  #bridgeWorkers(): ReturnType<LlbBridge["workers"]> {
    return this.#options.registry.agents.map(({ id, labels, platforms }) => ({ id, labels, platforms }));
  }

  #check(params: SolveParams): void {
    deviceGrants(params.entitlements);
    for (const entitlement of params.entitlements) {
      const name = entitlementName(entitlement);
      if (!this.#options.entitlements.has(name)) {
        throw new BuildError(Code.Unknown, `granting entitlement ${name} is not allowed by build daemon configuration`);
      }
    }
    if (params.sourcePolicy !== undefined) checkPolicies([params.sourcePolicy]);
    if (params.proxyNetwork) throw new BuildError(Code.Unimplemented, "proxy network is not supported");
  }
}

function sessionPolicy(
  { sourcePolicySession: id }: SolveParams,
  sessions: SessionGroup,
  meta: BuildSourceMeta,
): SessionPolicy | undefined {
  return id === "" ? undefined : new SessionPolicy((signal) => sessions.get(id, { signal }), meta);
}

function resolveCacheExporter(exporter: CacheExporter, attrs: Readonly<Record<string, string>>) {
  try {
    return exporter.resolve(attrs);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to configure ${exporter.type} cache exporter`);
  }
}

function workerRecord(agent: AgentRecord): WorkerRecord {
  return {
    ID: agent.id,
    Labels: { ...agent.labels },
    platforms: agent.platforms.map((platform) => ({
      OS: platform.os,
      Architecture: platform.architecture,
      Variant: platform.variant,
      OSVersion: platform.osVersion,
      OSFeatures: [...platform.osFeatures],
    })),
    GCPolicy: agent.gcPolicy.map((rule) => ({
      all: rule.all,
      filters: [...rule.filter],
      keepDuration: BigInt(Math.round(rule.keepDurationMs)) * 1_000_000n,
      reservedSpace: rule.reservedSpace,
      maxUsedSpace: rule.maxUsedSpace,
      minFreeSpace: rule.minFreeSpace,
    })),
    BuildkitVersion: { package: packageName, version: buildkitVersion, revision: agent.version, dockerfileVersion },
    CDIDevices: (agent.devices ?? []).map(({ name, autoAllow, annotations }) => ({
      ...{ Name: name, AutoAllow: autoAllow, OnDemand: false },
      Annotations: { ...annotations },
    })),
  };
}
