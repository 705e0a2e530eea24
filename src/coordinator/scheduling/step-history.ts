import type { KeyValue, KeyValueWatch } from "../../core/seams/key-value.ts";
import type { Resources } from "../../core/values/resources.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** How one run of a step went. */
export interface StepOutcome {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMemoryBytes: number;
  /** It was killed for want of memory, and needs more than the peak; how long it would have taken is not known. */
  readonly outOfMemory?: boolean;
}

/** True for a list of outcomes. */
export function isStepOutcomes(value: unknown): value is readonly StepOutcome[] {
  return Array.isArray(value) && value.every(isStepOutcome);
}

function isStepOutcome(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { seconds, cpuSeconds, peakMemoryBytes } = value as Partial<StepOutcome>;
  return [seconds, cpuSeconds, peakMemoryBytes].every((number) => typeof number === "number");
}

export interface StepEstimate {
  readonly expectedSeconds: number;
  readonly demand: Resources;
}

/** Outcomes kept of each step (Buildbarn's number). */
const maxOutcomes = 32;
/** Of steps that never ran here: BuildBuddy's defaults. The same for all, so that what can run does not hang on guesses. */
const unknownSeconds = 5;
const unknownCores = 0.6;
const unknownMemoryBytes = 400e6;
/** No step is taken for smaller. */
const leastCores = 0.25;
const leastMemoryBytes = 16e6;
/** Room for runs that need more than those before. */
const memoryHeadroom = 1.2;

/**
 * What steps took when they ran: by reduced vertex, that is, by what is run and for which platform, whatever its inputs were.
 * One bucket for the fleet, mirrored here; of two coordinators that write at once one outcome may be lost.
 */
export class StepHistory implements Disposable {
  readonly #bucket: KeyValue;
  readonly #outcomes = new Map<string, readonly StepOutcome[]>();
  #watch: KeyValueWatch | undefined;

  private constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  static async open(bucket: KeyValue): Promise<StepHistory> {
    const history = new StepHistory(bucket);
    history.#watch = bucket.watch("", ({ key, value }) => {
      if (value === undefined) history.#outcomes.delete(key);
      else history.#outcomes.set(key, decode<readonly StepOutcome[]>(value));
    });
    await history.#watch.ready;
    return history;
  }

  /** @param key a reduced vertex; undefined for what is not worth remembering */
  estimate(key: string | undefined): StepEstimate {
    const outcomes = key === undefined ? [] : (this.#outcomes.get(key) ?? []);
    const whole = outcomes.filter(({ outOfMemory }) => !outOfMemory);
    const cores = whole.map(({ cpuSeconds, seconds }) => cpuSeconds / Math.max(seconds, 0.01));
    const memory = outcomes.map(
      ({ peakMemoryBytes, outOfMemory }) => peakMemoryBytes * (outOfMemory ? 2 : memoryHeadroom),
    );
    return {
      expectedSeconds:
        quantile(
          whole.map(({ seconds }) => seconds),
          0.5,
        ) ?? unknownSeconds,
      demand: {
        slots: 1,
        cpu: Math.max(quantile(cores, 0.75) ?? unknownCores, leastCores),
        memoryBytes: Math.max(quantile(memory, 1) ?? unknownMemoryBytes, leastMemoryBytes),
      },
    };
  }

  async record(key: string, outcome: StepOutcome): Promise<void> {
    const outcomes = [...(this.#outcomes.get(key) ?? []), outcome].slice(-maxOutcomes);
    this.#outcomes.set(key, outcomes);
    await this.#bucket.put(key, encode(outcomes));
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }
}

function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
