import type { BuildHistoryRecord, Descriptor } from "../../api/gen/control.ts";
import { Status } from "../../api/gen/google/rpc/status.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { stackDetail } from "../../core/errors/stack-detail.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { ExportedDocuments } from "../../core/seams/exporter.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { Descriptor as OciDescriptor } from "../../core/values/descriptor.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { errorToStatus } from "../../grpc/index.ts";
import { version } from "../../version.ts";
import { timestampFromMs } from "../front-door/timestamp.ts";
import type { ActiveBuilds } from "./active-builds.ts";
import { fitRecord } from "./fit-record.ts";
import type { HistoryBlobs } from "./history-blobs.ts";
import type { HistoryDocuments } from "./history-documents.ts";
import type { HistorySteps } from "./history-steps.ts";
import type { RecordTraces } from "./record-traces.ts";
import type { ProgressSource } from "./running-logs.ts";
import { encodeStatusLog, statusLogType } from "./status-log.ts";
import { StepCounter } from "./step-counter.ts";
import type { StepRecord } from "./step-record.ts";
import type { TraceRecording } from "./trace-recorder.ts";

/** The spelling is BuildKit's. */
const inTotoType = "application/vnd.in-toto+json";
const errorType = "application/vnd.googeapis.google.rpc.status+proto";

/** How a build ended. */
export interface BuildOutcome {
  /** Metadata of the result, if it came to one, be its export a failure or not. */
  readonly metadata?: ReadonlyMap<string, Uint8Array>;
  /** What each exporter wrote, in their order; undefined for files. */
  readonly results?: readonly (OciDescriptor | undefined)[];
  /** Provenance of the result by platform; under the empty name when it is not by platform. */
  readonly provenance?: ReadonlyMap<string, RecordedProvenance>;
  /** Of all results. */
  readonly documents?: ExportedDocuments;
  readonly steps?: readonly StepRecord[];
  readonly error?: BuildError;
}

export interface RecordedProvenance {
  readonly predicateType: string;
  /** JSON text of the predicate. */
  readonly data: Uint8Array;
}

export interface BuildRecordingOptions {
  readonly started: BuildHistoryRecord;
  /** Of the build while it runs. */
  readonly progress: ProgressSource;
  readonly active: ActiveBuilds;
  readonly blobs: HistoryBlobs;
  readonly documents: HistoryDocuments;
  readonly steps: HistorySteps;
  readonly store: (record: BuildHistoryRecord) => Promise<void>;
  /** Of the build's spans. */
  readonly trace: TraceRecording | undefined;
  readonly traces: RecordTraces;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The record of one build in the making; `end` exactly once, on every path. */
export class BuildRecording {
  readonly #options: BuildRecordingOptions;

  constructor(options: BuildRecordingOptions) {
    this.#options = options;
    options.active.start(options.started, options.progress);
  }

  /**
   * Stores the record, if need be without what cannot be stored. A failure to do so is logged and not the build's.
   * @param progress of the whole build; must end by itself
   */
  async end(outcome: BuildOutcome, progress: AsyncIterable<SolveProgress>): Promise<void> {
    const { started, active, blobs, store, clock, trace, traces } = this.#options;
    const { Ref } = started;
    const CompletedAt = timestampFromMs(clock.now());
    const { error } = outcome;
    const status = error && errorToStatus(error.wrap("", [stackDetail(error, version)]));
    const steps = new StepCounter();
    // The client waits for the record, and each part of it for the disk.
    const [logs, externalError, attestations] = await Promise.all([
      this.#write(statusLogType, statusLog(progress, steps)),
      status && this.#write(errorType, once(Status.encode(status).finish())),
      this.#attestations(outcome.provenance),
      this.#recordDocuments(outcome.documents ?? new Map()),
      this.#recordSteps(outcome.steps ?? []),
    ]);
    try {
      await store(
        fitRecord({
          ...started,
          CompletedAt,
          logs,
          externalError,
          error: status === undefined ? undefined : { ...status, details: [] },
          ExporterResponse: texts(outcome.metadata),
          Result: resultInfo(outcome.results ?? [], attestations.get("")),
          Results: platformResults(attestations),
          ...steps.counts,
        }),
      );
      if (trace !== undefined) traces.ended(Ref, trace);
    } catch (error) {
      trace?.stop();
      this.#warn(error);
    } finally {
      blobs.settle([logs, externalError, ...attestations.values()].filter((blob) => blob !== undefined));
      active.end(Ref);
    }
  }

  async #attestations(provenance: BuildOutcome["provenance"] = new Map()): Promise<ReadonlyMap<string, Descriptor>> {
    const written = new Map<string, Descriptor>();
    for (const [platform, { predicateType, data }] of provenance) {
      const blob = await this.#write(inTotoType, once(data));
      if (blob === undefined) continue;
      written.set(platform, { ...blob, annotations: { "in-toto.io/predicate-type": predicateType } });
    }
    return written;
  }

  async #write(mediaType: string, bytes: AsyncIterable<Uint8Array>): Promise<Descriptor | undefined> {
    try {
      return await this.#options.blobs.write(this.#options.started.Ref, mediaType, bytes);
    } catch (error) {
      this.#warn(error);
      return undefined;
    }
  }

  async #recordDocuments(documents: ExportedDocuments): Promise<void> {
    try {
      const left = await this.#options.documents.put(this.#options.started.Ref, documents);
      if (left > 0) throw new BuildError(Code.ResourceExhausted, `${left} documents of its results are too large`);
    } catch (error) {
      this.#warn(error);
    }
  }

  async #recordSteps(steps: readonly StepRecord[]): Promise<void> {
    try {
      if (await this.#options.steps.put(this.#options.started.Ref, steps)) return;
      throw new BuildError(Code.ResourceExhausted, `${steps.length} steps are too many`);
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    const { logger, started } = this.#options;
    logger.warn("build is not recorded in full", { ref: started.Ref, error: BuildError.from(error).message });
  }
}

async function* statusLog(progress: AsyncIterable<SolveProgress>, steps: StepCounter): AsyncGenerator<Uint8Array> {
  for await (const batch of progress) {
    steps.add(batch);
    yield* encodeStatusLog(batch);
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function texts(metadata: ReadonlyMap<string, Uint8Array> = new Map()): Record<string, string> {
  const entries = [...metadata].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value).toString()]));
}

function resultInfo(
  results: readonly (OciDescriptor | undefined)[],
  attestation: Descriptor | undefined,
): BuildHistoryRecord["Result"] {
  const written = new Map<bigint, Descriptor>();
  for (const [index, result] of results.entries()) {
    if (result === undefined) continue;
    const { mediaType, digest, size, annotations = {} } = result;
    written.set(BigInt(index), { mediaType, digest, size, annotations: { ...annotations } });
  }
  const [first] = written.values();
  if (first === undefined && attestation === undefined) return undefined;
  const attestations = attestation === undefined ? [] : [attestation];
  // Clients of old read only the first.
  return { ResultDeprecated: first, Attestations: attestations, Results: written };
}

function platformResults(attestations: ReadonlyMap<string, Descriptor>): BuildHistoryRecord["Results"] {
  const platforms = [...attestations].filter(([platform]) => platform !== "").sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    platforms.map(([platform, attestation]) => [
      platform,
      { ResultDeprecated: undefined, Attestations: [attestation], Results: new Map() },
    ]),
  );
}
