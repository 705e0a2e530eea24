import type { StepInput, StepRecord } from "../history/index.ts";

export type Steps = readonly StepRecord[];

/** Places in the two lists. */
type Pair = readonly [ours: number, theirs: number];

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
    const open: Pair[] = [[ours, theirs]];
    for (let pair = open.at(-1); pair !== undefined; pair = open.at(-1)) {
      const first = this.#decide(pair);
      if (first === undefined) open.pop();
      else open.push(first);
    }
    return this.#known.get(this.#name([ours, theirs])) === true;
  }

  /** Whether an input leads to the same keys. */
  sameInput(ours: StepInput, theirs: StepInput): boolean {
    if (ours.content !== undefined && theirs.content !== undefined) return ours.content === theirs.content;
    if (ours.output !== theirs.output || ours.selector !== theirs.selector) return false;
    return this.same(ours.step, theirs.step);
  }

  /** @returns the pair of inputs that has to be decided before this one can be */
  #decide(pair: Pair): Pair | undefined {
    if (this.#known.has(this.#name(pair))) return undefined;
    const below = this.#inputPairs(...pair);
    const differs = below === undefined || below.some((next) => this.#known.get(this.#name(next)) === false);
    const undecided = differs ? undefined : below.find((next) => !this.#known.has(this.#name(next)));
    if (undecided === undefined) this.#known.set(this.#name(pair), !differs);
    return undecided;
  }

  #name([ours, theirs]: Pair): number {
    return ours * this.theirs.length + theirs;
  }

  /** Inputs whose keys must be the same for the steps to be; undefined when the steps cannot be. */
  #inputPairs(oursAt: number, theirsAt: number): Pair[] | undefined {
    const ours = this.ours[oursAt];
    const theirs = this.theirs[theirsAt];
    if (ours === undefined || theirs === undefined || ours.ignoreCache || !sameKeys(ours, theirs)) return undefined;
    if (ours.inputs.length !== theirs.inputs.length) return undefined;
    const pairs: Pair[] = [];
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
