import type { Definition } from "../../api/gen/ops.ts";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import type { WorkerRecord } from "../../api/gen/worker.ts";
import type { BuildError } from "../../core/errors/build-error.ts";
import type { FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";

/**
 * What the front door needs from the rest of the coordinator. The front door owns the wire: it validates and normalizes
 * requests, knows which build a call belongs to, waits for calls that arrive before their build, and turns results and errors
 * into messages. The service owns the build.
 */
export interface BuildService {
  /**
   * Begins a build. Must return soon (checks, exporters' `resolve`, registration of the job; nothing that waits for agents
   * or storage), because the client's bridge calls are already waiting.
   *
   * Then the front door runs the frontend (`bridge.solve` with the request's frontend or definition) or, for a client-driven
   * build, lets the client drive `bridge`, and ends with exactly one call of `finish` or `fail`.
   * @param signal aborts when the client has gone or cancelled; everything the build runs stops then
   * @throws BuildError InvalidArgument for exporters or attributes that cannot work, `job ID <ref> exists` …
   */
  start(params: SolveParams, signal: AbortSignal): Promise<ActiveBuild>;

  /** Records of all agents, merged. */
  diskUsage(query: DiskUsageQuery, signal: AbortSignal): Promise<readonly UsageRecord[]>;

  /** Removes what matches, one record at a time as it goes. */
  prune(query: PruneQuery, signal: AbortSignal): AsyncIterable<UsageRecord>;

  /**
   * Agents as BuildKit workers, native platform first in each.
   * @param filters containerd filters; never empty strings
   */
  workers(filters: readonly string[]): Promise<readonly WorkerRecord[]>;
}

/** One build between `start` and the end of its `finish` or `fail`. */
export interface ActiveBuild {
  /** Refs it gives out stay valid until the build has ended. */
  readonly bridge: LlbBridge;

  /**
   * The frontend is done: evaluates the result, runs post-processors and exporters, records history.
   * @returns the exporter response
   * @throws BuildError; the build has then failed and is over, `fail` is not called
   */
  finish(result: FrontendResult): Promise<Readonly<Record<string, string>>>;

  /** The frontend failed or the client left: records history and releases everything. Never throws. */
  fail(error: BuildError): Promise<void>;

  /**
   * Progress from the very start of the build, for each reader anew; ends once the build has ended and all was given out.
   * Still works for a reader who comes up to ten seconds after the end.
   */
  progress(signal: AbortSignal): AsyncIterable<SolveProgress>;
}

/** `Control.Solve`, validated; deprecated fields are already folded into the new ones (map a12–a14). */
export interface SolveParams {
  /** The client's id of the build; never empty. */
  readonly ref: string;
  /** The client's session; empty when it has none. */
  readonly sessionId: string;
  /** True when the client drives the build over the bridge: no frontend and no definition (map a16). */
  readonly clientDriven: boolean;
  readonly frontend: string;
  readonly frontendOpt: Readonly<Record<string, string>>;
  readonly frontendInputs: Readonly<Record<string, Definition>>;
  readonly definition?: Definition;
  /** In request order; the index is the exporter id. `source-date-epoch` is already set from the build argument. */
  readonly exporters: readonly ExporterEntry[];
  readonly cacheExports: readonly CacheExportEntry[];
  readonly cacheImports: readonly CacheImportEntry[];
  readonly entitlements: readonly string[];
  /** No history record. */
  readonly internal: boolean;
  readonly sourcePolicy?: Policy;
  readonly sourcePolicySession: string;
  readonly enableSessionExporter: boolean;
  /** 10, 20 or 30. */
  readonly compatibilityVersion: number;
  readonly proxyNetwork: boolean;
  /** W3C traceparent of the Solve call. */
  readonly traceparent?: string;
}

export interface ExporterEntry {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface CacheImportEntry {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface CacheExportEntry extends CacheImportEntry {
  readonly mode: "min" | "max";
  readonly ignoreError: boolean;
}

export interface DiskUsageQuery {
  /** containerd filters; empty = all. */
  readonly filters: readonly string[];
  /** Only records not used for this long; 0 = all. */
  readonly ageLimitMs: number;
}

export interface PruneQuery {
  readonly filters: readonly string[];
  /** Also internal and frontend records. */
  readonly all: boolean;
  readonly keepDurationMs: number;
  readonly reservedSpaceBytes: number;
  readonly maxUsedSpaceBytes: number;
  readonly minFreeSpaceBytes: number;
}

export interface UsageRecord {
  readonly id: string;
  readonly mutable: boolean;
  readonly inUse: boolean;
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly lastUsedAt?: number;
  readonly usageCount: number;
  readonly description: string;
  /** `regular`, `internal`, `frontend`, `source.local`, `source.git.checkout`, `exec.cachemount` */
  readonly recordType: string;
  readonly shared: boolean;
  readonly parents: readonly string[];
}
