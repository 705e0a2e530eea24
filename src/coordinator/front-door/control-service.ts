import * as control from "../../api/gen/control.ts";
import type { BuildkitVersion } from "../../api/gen/worker.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { FrontendResult } from "../../core/seams/llb-bridge.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { BytesDuplex, type GrpcServer, type ServerCall, serverStream, unary } from "../../grpc/index.ts";
import type { SessionManager } from "../../session/index.ts";
import { withSignal } from "../../util/abort.ts";
import { BridgeForwarder } from "./bridge-forwarder.ts";
import type { BuildHistory, HistoryChange } from "./build-history.ts";
import type { BuildRegistry, BuildReservation } from "./build-registry.ts";
import type { ActiveBuild, BuildService, SolveParams, UsageRecord } from "./build-service.ts";
import { frontendCapabilities } from "./frontend-capabilities.ts";
import { progressMessages } from "./progress-messages.ts";
import { solveParams } from "./solve-params.ts";
import { timestampFromMs } from "./timestamp.ts";

export interface ControlServiceOptions {
  readonly builds: BuildService;
  readonly registry: BuildRegistry;
  readonly sessions: SessionManager;
  readonly history?: BuildHistory;
  readonly version: BuildkitVersion;
  readonly llbCapabilities: readonly string[];
  readonly clock: Clock;
}

/** `moby.buildkit.v1.Control` (BuildKit control/control.go). */
export class ControlService {
  readonly #options: ControlServiceOptions;

  constructor(options: ControlServiceOptions) {
    this.#options = options;
  }

  /** Adds the service's methods to a server. */
  register(server: GrpcServer): void {
    const name = (method: string) => `/moby.buildkit.v1.Control/${method}`;
    server.handle(
      name("Info"),
      unary(control.InfoRequest, control.InfoResponse, () => ({ buildkitVersion: this.#options.version })),
    );
    server.handle(
      name("ListWorkers"),
      unary(control.ListWorkersRequest, control.ListWorkersResponse, async (request) => ({
        record: [...(await this.#options.builds.workers(filters(request.filter)))],
      })),
    );
    server.handle(
      name("DiskUsage"),
      unary(control.DiskUsageRequest, control.DiskUsageResponse, (request, call) => this.#diskUsage(request, call)),
    );
    server.handle(
      name("Prune"),
      serverStream(control.PruneRequest, control.UsageRecord, (request, call) => this.#prune(request, call)),
    );
    server.handle(
      name("Solve"),
      unary(control.SolveRequest, control.SolveResponse, async (request, call) => ({
        ExporterResponse: { ...(await this.#solve(request, call)) },
      })),
    );
    server.handle(
      name("Status"),
      serverStream(control.StatusRequest, control.StatusResponse, (request, call) => this.#status(request, call)),
    );
    server.handle(name("Session"), (call) => this.#session(call));
    server.handle(
      name("ListenBuildHistory"),
      serverStream(control.BuildHistoryRequest, control.BuildHistoryEvent, (request, call) =>
        this.#listenHistory(request, call),
      ),
    );
    server.handle(
      name("UpdateBuildHistory"),
      unary(control.UpdateBuildHistoryRequest, control.UpdateBuildHistoryResponse, (request, call) =>
        this.#updateHistory(request, call),
      ),
    );
  }

  async #diskUsage(request: control.DiskUsageRequest, call: ServerCall): Promise<control.DiskUsageResponse> {
    const query = { filters: filters(request.filter), ageLimitMs: Number(request.ageLimit) / 1e6 };
    const records = await this.#options.builds.diskUsage(query, call.signal);
    return { record: records.map(usageRecordToMessage) };
  }

  async *#prune(request: control.PruneRequest, call: ServerCall): AsyncGenerator<control.UsageRecord> {
    const query = {
      filters: filters(request.filter),
      all: request.all,
      keepDurationMs: Number(request.keepDuration) / 1e6,
      reservedSpaceBytes: request.reservedSpace,
      maxUsedSpaceBytes: request.maxUsedSpace,
      minFreeSpaceBytes: request.minFreeSpace,
    };
    for await (const record of this.#options.builds.prune(query, call.signal)) yield usageRecordToMessage(record);
  }

  async #solve(request: control.SolveRequest, call: ServerCall): Promise<Readonly<Record<string, string>>> {
    const reservation = this.#options.registry.reserve(request.Ref);
    let forwarder: BridgeForwarder | undefined;
    try {
      const { params, build } = await this.#start(request, reservation, call);
      if (params.clientDriven) {
        forwarder = new BridgeForwarder({
          bridge: build.bridge,
          inputs: params.frontendInputs,
          frontendCapabilities,
          llbCapabilities: this.#options.llbCapabilities,
        });
      }
      reservation.started(build, forwarder);
      const result = await this.#frontendResult(params, build, forwarder, call.signal);
      return await build.finish(result);
    } finally {
      reservation.ended();
      await forwarder?.discard();
    }
  }

  async #start(
    request: control.SolveRequest,
    reservation: BuildReservation,
    call: ServerCall,
  ): Promise<{ readonly params: SolveParams; readonly build: ActiveBuild }> {
    try {
      const params = solveParams(request, call.traceparent);
      return { params, build: await this.#options.builds.start(params, call.signal) };
    } catch (thrown) {
      const error = BuildError.from(thrown);
      reservation.refused(error);
      throw error;
    }
  }

  async #frontendResult(
    params: SolveParams,
    build: ActiveBuild,
    forwarder: BridgeForwarder | undefined,
    signal: AbortSignal,
  ): Promise<FrontendResult> {
    try {
      if (forwarder !== undefined) return await withSignal(forwarder.result, signal);
      return await build.bridge.solve(
        {
          ...(params.definition === undefined ? {} : { definition: params.definition }),
          ...(params.frontend === "" ? {} : { frontend: params.frontend }),
          frontendOpt: params.frontendOpt,
          frontendInputs: params.frontendInputs,
          cacheImports: params.cacheImports,
        },
        signal,
      );
    } catch (thrown) {
      const error = BuildError.from(thrown);
      await build.fail(error);
      throw error;
    }
  }

  async *#status(request: control.StatusRequest, call: ServerCall): AsyncGenerator<control.StatusResponse> {
    this.#sendTimestamp(call);
    for await (const batch of await this.#progress(request.Ref, call.signal)) yield* progressMessages(batch);
  }

  async #progress(ref: string, signal: AbortSignal): Promise<AsyncIterable<SolveProgress>> {
    const running = this.#options.registry.find(ref);
    if (running !== undefined) return running.progress(signal);
    const past = await this.#options.history?.progress(ref, signal);
    if (past !== undefined) return past;
    return (await this.#options.registry.build(ref, signal)).progress(signal);
  }

  async #session(call: ServerCall): Promise<void> {
    await this.#options.sessions.serve(new BytesDuplex(call), call.metadata, call.signal);
  }

  async *#listenHistory(
    request: control.BuildHistoryRequest,
    call: ServerCall,
  ): AsyncGenerator<control.BuildHistoryEvent> {
    this.#sendTimestamp(call);
    if (this.#options.history !== undefined) {
      const query = {
        activeOnly: request.ActiveOnly,
        ref: request.Ref,
        earlyExit: request.EarlyExit,
        filters: filters(request.Filter),
        limit: request.Limit,
      };
      yield* this.#options.history.listen(query, call.signal);
    } else if (!request.EarlyExit) {
      await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve(), { once: true }));
    }
  }

  async #updateHistory(
    request: control.UpdateBuildHistoryRequest,
    call: ServerCall,
  ): Promise<control.UpdateBuildHistoryResponse> {
    if (this.#options.history === undefined) {
      throw new BuildError(Code.Unknown, `failed to retrieve ref ${request.Ref}: file does not exist`);
    }
    let change: HistoryChange = request.Pinned ? "pin" : "unpin";
    if (request.Delete) change = "delete";
    else if (request.Finalize) change = "finalize";
    await this.#options.history.update(request.Ref, change, call.signal);
    return {};
  }

  /** Lets the client correct for the difference of the clocks. */
  #sendTimestamp(call: ServerCall): void {
    call.setHeader("buildkit-current-timestamp", new Date(this.#options.clock.now()).toISOString());
    call.sendHeaders();
  }
}

/** buildx sends one empty filter where it means none. */
function filters(list: readonly string[]): readonly string[] {
  return list.filter((filter) => filter !== "");
}

function usageRecordToMessage(record: UsageRecord): control.UsageRecord {
  return {
    ID: record.id,
    Mutable: record.mutable,
    InUse: record.inUse,
    Size: record.sizeBytes,
    Parent: "",
    CreatedAt: timestampFromMs(record.createdAt),
    LastUsedAt: timestampFromMs(record.lastUsedAt),
    UsageCount: record.usageCount,
    Description: record.description,
    RecordType: record.recordType,
    Shared: record.shared,
    Parents: [...record.parents],
  };
}
