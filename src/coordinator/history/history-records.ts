import { BuildHistoryRecord } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { KeyValue, KeyValueWatch } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";

/** A record was stored, changed or, without `record`, removed. */
export interface RecordChange {
  readonly ref: string;
  readonly record: BuildHistoryRecord | undefined;
}

interface Known {
  /** Undefined: removed by us, and the watch has not said so yet. */
  readonly record: BuildHistoryRecord | undefined;
  readonly revision: number;
}

/**
 * Records of finished builds: a bucket shared by all coordinators, mirrored here by a watch, so that reading is local. What
 * this coordinator writes can be read back at once; records must not be changed in place.
 */
export class HistoryRecords implements Disposable {
  readonly #bucket: KeyValue;
  readonly #logger: Logger;
  #onChange: (change: RecordChange) => void = () => {};
  readonly #known = new Map<string, Known>();
  readonly #watch: KeyValueWatch;

  private constructor(bucket: KeyValue, logger: Logger) {
    this.#bucket = bucket;
    this.#logger = logger;
    this.#watch = bucket.watch("", ({ key, value, revision }) => this.#seen(key, value, revision));
  }

  static async open(bucket: KeyValue, logger: Logger): Promise<HistoryRecords> {
    const records = new HistoryRecords(bucket, logger);
    await records.#watch.ready;
    return records;
  }

  /** @param onChange told once of each change from now on, whoever made it */
  listen(onChange: (change: RecordChange) => void): void {
    this.#onChange = onChange;
  }

  get(ref: string): BuildHistoryRecord | undefined {
    return this.#known.get(recordKey(ref))?.record;
  }

  *all(): Generator<BuildHistoryRecord, void, undefined> {
    for (const { record } of this.#known.values()) if (record !== undefined) yield record;
  }

  /** Stores a record in place of one with the same ref. Durable when it resolves. */
  async put(record: BuildHistoryRecord): Promise<void> {
    const key = recordKey(record.Ref);
    const revision = await this.#bucket.put(key, BuildHistoryRecord.encode(record).finish());
    this.#apply(key, record, revision);
  }

  /**
   * Changes a record against concurrent writers; its generation grows by one.
   * @throws BuildError when there is none
   */
  async update(ref: string, change: (record: BuildHistoryRecord) => BuildHistoryRecord): Promise<void> {
    const key = recordKey(ref);
    for (;;) {
      const entry = await this.#bucket.get(key);
      if (entry === undefined) throw noRecord(ref);
      const old = BuildHistoryRecord.decode(entry.value);
      const record = { ...change(old), Generation: old.Generation + 1 };
      try {
        const bytes = BuildHistoryRecord.encode(record).finish();
        this.#apply(key, record, await this.#bucket.update(key, bytes, entry.revision));
        return;
      } catch (error) {
        if (!(error instanceof BuildError) || error.code !== Code.Aborted) throw error;
      }
    }
  }

  /** Does nothing when there is none. */
  async delete(ref: string): Promise<void> {
    const key = recordKey(ref);
    await this.#bucket.delete(key);
    const known = this.#known.get(key);
    if (known !== undefined) this.#apply(key, undefined, known.revision + 1);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  #seen(key: string, value: Uint8Array | undefined, revision: number): void {
    try {
      this.#apply(key, value === undefined ? undefined : BuildHistoryRecord.decode(value), revision);
      if (value === undefined) this.#known.delete(key);
    } catch (error) {
      this.#logger.warn("history record cannot be read", { key, error: BuildError.from(error).message });
    }
  }

  #apply(key: string, record: BuildHistoryRecord | undefined, revision: number): void {
    const known = this.#known.get(key);
    // The watch repeats what was applied when it was written.
    if (known !== undefined && known.revision >= revision) return;
    this.#known.set(key, { record, revision });
    const ref = (record ?? known?.record)?.Ref;
    if (ref !== undefined) this.#onChange({ ref, record });
  }
}

export function noRecord(ref: string): BuildError {
  return new BuildError(Code.Unknown, `failed to retrieve ref ${ref}: file does not exist`);
}

/** A ref as a key: clients may choose refs, and buckets take few characters. */
export function recordKey(ref: string): string {
  return ref.replace(/[^A-Za-z0-9_-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `=${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
