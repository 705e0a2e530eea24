import type { StepInput, StepRecord } from "../history/index.ts";

export type Steps = readonly StepRecord[];

/**
 * Steps of two builds side by side. Keys are compared as the solver does: an op's own part in any of its forms, and of each input
 * the content where both know it, else the key of the input's step.
 */
export class StepPairs {
  readonly ours: Steps;
  readonly theirs: Steps;
  readonly #known = new Map<number, boolean>();

  constructor(ours: Steps, theirs: Steps) {
    this.ours = ours;
    this.theirs = theirs;
  }

  /** Whether what theirs left in the cache would serve ours. Decides each pair once, and not recursively: chains may be long. */
  same(ours: number, theirs: number): boolean {
    const open: (readonly [number, number])[] = [[ours, theirs]];
    for (let pair = open.at(-1); pair !== undefined; pair = open.at(-1)) {
      const below = this.#decided(pair) === undefined ? this.#inputPairs(...pair) : undefined;
      const undecided = below?.some((next) => this.#decided(next) === false)
        ? undefined
        : below?.find((next) => this.#decided(next) === undefined);
      if (undecided !== undefined) {
        open.push(undecided);
        continue;
      }
      if (this.#decided(pair) === undefined) {
        this.#known.set(this.#name(pair), below?.every((next) => this.#decided(next) === true) ?? false);
      }
      open.pop();
    }
    return this.#decided([ours, theirs]) === true;
  }

  /** Whether an input leads to the same keys. */
  sameInput(ours: StepInput, theirs: StepInput): boolean {
    if (ours.content !== undefined && theirs.content !== undefined) return ours.content === theirs.content;
    if (ours.output !== theirs.output || ours.selector !== theirs.selector) return false;
    return this.same(ours.step, theirs.step);
  }

  #name([ours, theirs]: readonly [number, number]): number {
    return ours * this.theirs.length + theirs;
  }

  #decided(pair: readonly [number, number]): boolean | undefined {
    return this.#known.get(this.#name(pair));
  }

  /** Inputs whose keys must be the same for the steps to be; undefined when the steps cannot be. */
  #inputPairs(oursAt: number, theirsAt: number): (readonly [number, number])[] | undefined {
    const ours = this.ours[oursAt];
    const theirs = this.theirs[theirsAt];
    if (ours === undefined || theirs === undefined || ours.ignoreCache || !sameKeys(ours, theirs)) return undefined;
    if (ours.inputs.length !== theirs.inputs.length) return undefined;
    const pairs: (readonly [number, number])[] = [];
    for (const [index, input] of ours.inputs.entries()) {
      const other = theirs.inputs[index] as StepInput;
      if (input.content !== undefined && other.content !== undefined) {
        if (input.content !== other.content) return undefined;
      } else if (input.output !== other.output || input.selector !== other.selector) return undefined;
      else pairs.push([input.step, other.step]);
    }
    return pairs;
  }
}

/** Their own parts of the key, without inputs. */
export function sameKeys(ours: StepRecord, theirs: StepRecord): boolean {
  if (ours.kind !== theirs.kind) return false;
  if (ours.keys.length > 0 && theirs.keys.length > 0) return ours.keys.some((key) => theirs.keys.includes(key));
  return ours.digest === theirs.digest;
}
