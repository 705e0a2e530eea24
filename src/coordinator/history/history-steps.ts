import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import type { KeyValue } from "../../core/seams/key-value.ts";
import { decode, encode } from "../../util/msgpack.ts";
import { recordKey } from "./history-records.ts";
import { type StepRecord, stepsFormat } from "./step-record.ts";

/** Buckets take just under a megabyte: some thousand steps. */
const maxBytes = 768 << 10;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

interface Encoded {
  readonly format: number;
  readonly steps: readonly StepRecord[];
}

/** The steps of recorded builds, in a bucket that all coordinators share; each entry lives and dies with its record. */
export class HistorySteps {
  readonly #bucket: KeyValue;

  constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  /** Replaces those of an earlier build with the same ref. @returns false when there are too many to store */
  async put(ref: string, steps: readonly StepRecord[]): Promise<boolean> {
    const bytes = await compress(encode({ format: stepsFormat, steps } satisfies Encoded));
    if (bytes.length > maxBytes) {
      await this.delete(ref);
      return false;
    }
    await this.#bucket.put(stepsKey(ref), bytes);
    return true;
  }

  /** @returns undefined when none are kept, or another version wrote them */
  async get(ref: string): Promise<readonly StepRecord[] | undefined> {
    const entry = await this.#bucket.get(stepsKey(ref));
    if (entry === undefined) return undefined;
    const { format, steps } = decode<Encoded>(await decompress(entry.value));
    return format === stepsFormat ? steps : undefined;
  }

  async delete(ref: string): Promise<void> {
    await this.#bucket.delete(stepsKey(ref));
  }
}

/** Beside the blobs of the record, whose names are digests. */
function stepsKey(ref: string): string {
  return `${recordKey(ref)}/steps`;
}
