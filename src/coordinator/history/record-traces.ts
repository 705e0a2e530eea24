import type { Descriptor } from "../../api/gen/control.ts";
import { BuildHistoryRecord } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { HistoryBlobs } from "./history-blobs.ts";
import type { HistoryRecords } from "./history-records.ts";
import { encodeTrace, traceType } from "./trace-blob.ts";
import type { TraceRecording } from "./trace-recorder.ts";

/** Spans still come in after the end of a build: of calls, of agents, and of the client, which sends them last. */
const settleMs = 3000;

export interface RecordTracesOptions {
  readonly blobs: HistoryBlobs;
  readonly records: HistoryRecords;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Pending {
  readonly now: AbortController;
  readonly done: Promise<void>;
}

/** Adds traces to the records of builds that have ended, a few seconds later or when told to (BuildKit solver/llbsolver/history.go). */
export class RecordTraces implements AsyncDisposable {
  readonly #options: RecordTracesOptions;
  readonly #pending = new Map<string, Pending>();

  constructor(options: RecordTracesOptions) {
    this.#options = options;
  }

  /** The record is stored; the recording ends here. */
  ended(ref: string, recording: TraceRecording): void {
    const now = new AbortController();
    const pending = { now, done: this.#store(ref, recording, now.signal) };
    this.#pending.set(ref, pending);
    void pending.done.then(() => {
      if (this.#pending.get(ref) === pending) this.#pending.delete(ref);
    });
  }

  /** Resolves when the record has its trace, if there will be one; at once for builds of other coordinators. */
  async finalize(ref: string): Promise<void> {
    const pending = this.#pending.get(ref);
    pending?.now.abort();
    await pending?.done;
  }

  /** Stores what there is so far. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pending.keys()].map((ref) => this.finalize(ref)));
  }

  async #store(ref: string, recording: TraceRecording, now: AbortSignal): Promise<void> {
    const { blobs, records, clock, logger } = this.#options;
    await clock.sleep(settleMs, now).catch(() => {});
    const spans = recording.stop();
    if (spans.length === 0) return;
    let trace: Descriptor | undefined;
    try {
      trace = await blobs.write(ref, traceType, encodeTrace(spans));
      await records.update(ref, (record) => ({ ...record, trace }));
    } catch (error) {
      logger.warn("the trace of a build is not recorded", { ref, error: BuildError.from(error).message });
      if (trace !== undefined)
        await blobs.deleteShared(BuildHistoryRecord.fromPartial({ Ref: ref, trace })).catch(() => {});
    } finally {
      if (trace !== undefined) blobs.settle([trace]);
    }
  }
}
