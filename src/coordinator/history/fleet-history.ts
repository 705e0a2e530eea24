import { type BuildHistoryEvent, BuildHistoryEventType, BuildHistoryRecord } from "../../api/gen/control.ts";
import type { HistoryLimits } from "../../config/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { ContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue, KeyValueStore } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { parseDigest } from "../../core/values/digest.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { AsyncQueue } from "../../util/async-queue.ts";
import { steadyClock } from "../../util/system-clock.ts";
import type { BuildHistory, HistoryChange, HistoryQuery, ReadableContent, SolveParams } from "../front-door/index.ts";
import { timestampFromMs } from "../front-door/timestamp.ts";
import { ActiveBuilds } from "./active-builds.ts";
import { BuildRecording } from "./build-recording.ts";
import { fitRecord } from "./fit-record.ts";
import { HistoryBlobs } from "./history-blobs.ts";
import { HistoryContent } from "./history-content.ts";
import { HistoryDocuments } from "./history-documents.ts";
import { historyFilter } from "./history-filter.ts";
import { HistoryRecords, type RecordChange } from "./history-records.ts";
import { HistorySteps } from "./history-steps.ts";
import { RecordTraces } from "./record-traces.ts";
import { redactAttributes } from "./redact-attributes.ts";
import { type ProgressSource, RunningLogs } from "./running-logs.ts";
import { decodeStatusLog } from "./status-log.ts";
import type { StepRecord } from "./step-record.ts";
import type { TraceRecorder } from "./trace-recorder.ts";

const collectEveryMs = 120_000;
const defaultLimits: HistoryLimits = { maxAgeMs: 48 * 3600_000, maxEntries: 50 };

export interface FleetHistoryOptions {
  readonly coordinatorId: string;
  /** Records and small blobs, shared by all coordinators. */
  readonly keyValues: KeyValueStore;
  /** Large blobs, of this coordinator alone. */
  readonly store: ContentStore;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: 48 hours and 50 records. */
  readonly limits?: HistoryLimits | undefined;
  /** Absent: records have no traces. */
  readonly traces?: TraceRecorder;
}

type Listener = (event: BuildHistoryEvent) => void;

/**
 * History of all builds of the fleet (BuildKit solver/llbsolver/history; map a9–a11, h42). Every coordinator lists the records
 * and the running builds of all; the log of a build too large to share can only be read where it was made.
 */
export class FleetHistory implements BuildHistory, AsyncDisposable {
  readonly #options: FleetHistoryOptions;
  readonly #records: HistoryRecords;
  readonly #blobs: HistoryBlobs;
  readonly #steps: HistorySteps;
  readonly #documents: HistoryDocuments;
  /** What records name, and what follows from that. */
  readonly content: ReadableContent;
  readonly #active: ActiveBuilds;
  readonly #logs: RunningLogs;
  readonly #traces: RecordTraces;
  readonly #listeners = new Set<Listener>();
  /** Readers by the ref they asked for: its record stays until they have gone. */
  readonly #readers = new Map<string, number>();
  readonly #doomed = new Set<string>();
  readonly #stop = new AbortController();
  readonly #collecting: Promise<void>;

  private constructor(options: FleetHistoryOptions, records: HistoryRecords, blobs: HistoryBlobs, bucket: KeyValue) {
    this.#options = options;
    this.#records = records;
    this.#blobs = blobs;
    this.#steps = new HistorySteps(bucket);
    this.#documents = new HistoryDocuments(bucket, () => this.#exported());
    this.content = new HistoryContent(blobs, this.#documents);
    this.#active = new ActiveBuilds({
      coordinatorId: options.coordinatorId,
      bus: options.bus,
      clock: steadyClock,
      onStarted: (record) => this.#notify(BuildHistoryEventType.STARTED, record),
    });
    this.#logs = new RunningLogs({
      coordinatorId: options.coordinatorId,
      bus: options.bus,
      find: (ref) => this.#active.progress(ref),
    });
    this.#traces = new RecordTraces({ records, blobs, clock: options.clock, logger: options.logger });
    this.#records.listen((change) => this.#changed(change));
    this.#collecting = this.#collectForever();
  }

  static async open(options: FleetHistoryOptions): Promise<FleetHistory> {
    const logger = options.logger.child({ component: "history" });
    const records = await HistoryRecords.open(await options.keyValues.open("history"), logger);
    const bucket = await options.keyValues.open("history-blobs");
    const blobs = new HistoryBlobs({
      bucket,
      store: options.store,
      records: () => records.all(),
    });
    await blobs.sweep();
    return new FleetHistory({ ...options, logger }, records, blobs, bucket);
  }

  /**
   * Begins the record of a build; it is listed as running until the recording ends.
   * @param progress of it while it runs, for readers at other coordinators
   */
  record(
    build: Pick<SolveParams, "ref" | "frontend" | "frontendOpt" | "exporters" | "traceparent">,
    progress: ProgressSource,
  ): BuildRecording {
    const { clock, logger, traces } = this.#options;
    return new BuildRecording({
      trace: traces?.record(build.traceparent),
      traces: this.#traces,
      progress,
      started: fitRecord(
        BuildHistoryRecord.fromPartial({
          Ref: build.ref,
          Frontend: build.frontend,
          FrontendAttrs: redactAttributes(build.frontendOpt),
          Exporters: build.exporters.map(({ type, attrs }) => ({ Type: type, Attrs: redactAttributes(attrs) })),
          CreatedAt: timestampFromMs(clock.now()),
        }),
      ),
      active: this.#active,
      blobs: this.#blobs,
      steps: this.#steps,
      documents: this.#documents,
      store: (record) => this.#store(record),
      clock,
      logger,
    });
  }

  async *listen(query: HistoryQuery, signal: AbortSignal): AsyncGenerator<BuildHistoryEvent, void, undefined> {
    const { ref } = query;
    if (this.#doomed.has(ref)) throw new BuildError(Code.Unknown, `ref ${ref} is deleted: file does not exist`);
    const queue = new AsyncQueue<BuildHistoryEvent>();
    const listener = (event: BuildHistoryEvent) => {
      if (ref === "" || event.record?.Ref === ref) queue.offer(event);
    };
    const end = () => queue.end();
    const stop = AbortSignal.any([signal, this.#stop.signal]);
    stop.addEventListener("abort", end, { once: true });
    this.#listeners.add(listener);
    if (ref !== "") this.#readers.set(ref, (this.#readers.get(ref) ?? 0) + 1);
    try {
      yield* this.#select(query);
      if (query.earlyExit || stop.aborted) return;
      yield* queue;
    } finally {
      this.#listeners.delete(listener);
      stop.removeEventListener("abort", end);
      await this.#leave(ref);
    }
  }

  async update(ref: string, change: HistoryChange): Promise<void> {
    switch (change) {
      case "pin":
      case "unpin":
        return this.#records.update(ref, (record) => ({ ...record, pinned: change === "pin" }));
      case "delete": {
        await this.#traces.finalize(ref);
        const record = this.#records.get(ref);
        if (record === undefined) throw new BuildError(Code.NotFound, `lease "ref_${ref}": not found`);
        return this.#delete(record);
      }
      case "finalize":
        return this.#traces.finalize(ref);
    }
  }

  async progress(ref: string, signal: AbortSignal): Promise<AsyncIterable<SolveProgress> | undefined> {
    const owner = this.#active.ownerOf(ref);
    if (owner !== undefined) return this.#logs.read(owner, ref, signal);
    const record = this.#records.get(ref);
    if (record === undefined) return undefined;
    if (record.logs === undefined) return decodeStatusLog(nothing());
    return decodeStatusLog(this.#blobs.read(parseDigest(record.logs.digest), {}, signal));
  }

  /** Finished builds, newest first. */
  builds(): BuildHistoryRecord[] {
    return [...this.#records.all()]
      .filter(({ Ref }) => !this.#doomed.has(Ref))
      .sort((a, b) => compareTimes(b.CreatedAt, a.CreatedAt));
  }

  running(): BuildHistoryRecord[] {
    return this.#active.all();
  }

  /** @returns undefined when none were recorded for that build */
  steps(ref: string): Promise<readonly StepRecord[] | undefined> {
    return this.#steps.get(ref);
  }

  /** Ends all listeners. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#collecting;
    await this.#traces[Symbol.asyncDispose]();
    this.#logs[Symbol.dispose]();
    this.#active[Symbol.dispose]();
    this.#records[Symbol.dispose]();
  }

  *#exported(): Generator<string> {
    for (const { Ref, Result } of this.builds()) if (Result !== undefined && Result.Results.size > 0) yield Ref;
  }

  #select(query: HistoryQuery): BuildHistoryEvent[] {
    const wanted = (record: BuildHistoryRecord) => query.ref === "" || record.Ref === query.ref;
    const active = this.#active.all().filter(wanted);
    const events = active.map((record) => ({ type: BuildHistoryEventType.STARTED, record }));
    if (query.activeOnly) return events;
    const passes = historyFilter(query.filters, this.#options.clock.now());
    if (query.limit < 0) throw new BuildError(Code.Unknown, `invalid limit ${query.limit}`);
    const records = this.builds()
      .filter((record) => wanted(record) && passes(record))
      .slice(0, query.limit === 0 ? undefined : query.limit);
    return [...events, ...records.map((record) => ({ type: BuildHistoryEventType.COMPLETE, record }))];
  }

  async #store(record: BuildHistoryRecord): Promise<void> {
    const replaced = this.#records.get(record.Ref);
    await this.#records.put(record);
    if (replaced !== undefined) await this.#blobs.deleteShared(replaced, record);
  }

  /** Readers of this one record keep it until they have gone; it is not listed any more. */
  async #delete(record: BuildHistoryRecord): Promise<void> {
    const { Ref } = record;
    if (this.#readers.has(Ref)) {
      this.#doomed.add(Ref);
      return;
    }
    await this.#blobs.deleteShared(record);
    await this.#steps.delete(Ref);
    await this.#documents.delete(Ref);
    await this.#records.delete(Ref);
    await this.#blobs.sweep();
  }

  async #leave(ref: string): Promise<void> {
    const left = (this.#readers.get(ref) ?? 1) - 1;
    if (left > 0) {
      this.#readers.set(ref, left);
      return;
    }
    this.#readers.delete(ref);
    const record = this.#records.get(ref);
    if (this.#doomed.delete(ref) && record !== undefined) await this.#delete(record);
  }

  #changed({ ref, record }: RecordChange): void {
    if (record === undefined) {
      this.#notify(BuildHistoryEventType.DELETED, BuildHistoryRecord.fromPartial({ Ref: ref }));
      return;
    }
    this.#active.ended(record);
    this.#notify(BuildHistoryEventType.COMPLETE, record);
  }

  #notify(type: BuildHistoryEventType, record: BuildHistoryRecord): void {
    for (const listener of this.#listeners) listener({ type, record });
  }

  async #collectForever(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#collect().catch((error) => {
        logger.warn("old build records cannot be removed", { error: BuildError.from(error).message });
      });
      await clock.sleep(collectEveryMs, signal).catch(() => {});
    }
  }

  /** Removes records that are too old and too many. */
  async #collect(): Promise<void> {
    const { clock, limits } = this.#options;
    const { maxAgeMs, maxEntries } = limits ?? defaultLimits;
    const oldest = timestampFromMs(clock.now() - maxAgeMs);
    const surplus = [...this.#records.all()]
      .filter((record) => !record.pinned)
      .sort((a, b) => compareTimes(b.CompletedAt, a.CompletedAt))
      .slice(maxEntries);
    for (const record of surplus) {
      if (compareTimes(record.CompletedAt, oldest) < 0) await this.#delete(record);
    }
    await this.#blobs.sweep();
  }
}

function compareTimes(a: BuildHistoryRecord["CreatedAt"], b: BuildHistoryRecord["CreatedAt"]): number {
  const nanos = (time: typeof a) => (time?.seconds ?? 0n) * 1_000_000_000n + BigInt(time?.nanos ?? 0);
  const difference = nanos(a) - nanos(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
