import { inSpan } from "../telemetry/index.ts";
import { type CacheRecord, compareRecords } from "./cache.ts";
import type { EdgeLog } from "./edge-log.ts";
import type { VertexState } from "./vertex-state.ts";

export interface LoadedRecord<T> {
  readonly record: CacheRecord<T>;
  readonly result: T;
}

/** Records that an edge has found for its keys. Each is tried once; one that cannot be loaded is passed over (map d7). */
export class EdgeRecords<T> {
  /** A stored result was found and could not be loaded. */
  lost = false;
  readonly #vertex: VertexState<T>;
  readonly #log: EdgeLog;
  /** Not yet tried, by token. */
  readonly #records = new Map<string, CacheRecord<T>>();
  readonly #tried = new Set<string>();

  constructor(vertex: VertexState<T>, log: EdgeLog) {
    this.#vertex = vertex;
    this.#log = log;
  }

  /** How many are left to try. */
  get size(): number {
    return this.#records.size;
  }

  add(records: readonly CacheRecord<T>[]): void {
    for (const record of records) {
      if (!this.#tried.has(recordToken(record))) this.#records.set(recordToken(record), record);
    }
  }

  /** The best that can be loaded. @returns undefined when there is none */
  async load(signal: AbortSignal): Promise<LoadedRecord<T> | undefined> {
    for (;;) {
      const [record] = [...this.#records.values()].sort(compareRecords);
      if (record === undefined) return undefined;
      this.#records.delete(recordToken(record));
      this.#tried.add(recordToken(record));
      const result: T | undefined = await this.#load(record, signal);
      if (result !== undefined) return { record, result };
      this.lost = true;
    }
  }

  async #load(record: CacheRecord<T>, signal: AbortSignal): Promise<T | undefined> {
    const { cache, context, digest, progress, traceparent, vertex } = this.#vertex;
    const startedAt = context.clock.now();
    this.#log.note("loads a record", { record: record.id, cache: record.manager.id });
    try {
      const span = { parent: traceparent, attributes: { vertex: digest } };
      // Named as in BuildKit solver/jobs.go.
      const result = await inSpan(`load cache: ${vertex.name}`, span, () => cache.load(record, signal));
      if (result !== undefined) progress.loaded(startedAt);
      else this.#log.note("the record is gone", { record: record.id });
      return result;
    } catch (error) {
      if (signal.aborted) {
        // Whoever asks next may try it again.
        this.#tried.delete(recordToken(record));
        this.#records.set(recordToken(record), record);
        throw error;
      }
      context.logger.debug("Cannot load from cache", { vertex: digest, record: record.id, error });
      return undefined;
    }
  }
}

function recordToken<T>(record: CacheRecord<T>): string {
  return `${record.manager.id}|${record.id}`;
}
