import type { BuildHistoryRecord } from "../../api/gen/control.ts";
import type { StepInput, StepRecord } from "../history/index.ts";
import { StepIndex } from "./step-index.ts";
import { commonShare, type StepName } from "./step-name.ts";
import { StepPairs, type Steps } from "./step-pairs.ts";

/** A step of an earlier build. */
export interface NearestStep {
  readonly build: BuildHistoryRecord;
  readonly pairs: StepPairs;
  /** Place of the step in `pairs.theirs`. */
  readonly place: number;
  /** Nothing of their keys differs. */
  readonly same: boolean;
}

/** Less than that in common is not like it. */
const leastAlike = 0.3;

/**
 * Finds for steps of one build the earlier steps that are most like them: first of all one with the same key that came to a
 * result, then one with the same name, then by the share of what they have in common.
 */
export class NearestSteps {
  readonly #ours: StepIndex;
  readonly #wanted: readonly number[];
  readonly #best = new Map<number, { readonly score: number; readonly nearest: NearestStep }>();

  /** @param wanted places of the steps to find something for */
  constructor(steps: Steps, wanted: readonly number[]) {
    this.#ours = new StepIndex(steps);
    this.#wanted = wanted;
  }

  get(place: number): NearestStep | undefined {
    return this.#best.get(place)?.nearest;
  }

  /** Adds an earlier build. Of equals the one that was added first wins: add the newest first. */
  add(build: BuildHistoryRecord, steps: Steps): void {
    const ours = this.#ours;
    const theirs = new StepIndex(steps);
    const pairs = new StepPairs(ours.steps, steps);
    const related = commonShare(ours.titles, theirs.titles);
    for (const wanted of this.#wanted) {
      for (const place of theirs.candidates(ours, wanted)) {
        const step = steps[place] as StepRecord;
        // It may have been cut off before it could run.
        if (step.how === "unused" && build.error !== undefined) continue;
        const same = pairs.same(wanted, place);
        const names = [ours.names[wanted], theirs.names[place]] as const;
        const score = same ? sameScore(step) : likeness(pairs, ours.steps[wanted] as StepRecord, step, names, related);
        if (score <= (this.#best.get(wanted)?.score ?? 0)) continue;
        this.#best.set(wanted, { score, nearest: { build, pairs, place, same } });
      }
    }
  }
}

/** Above all that are only alike. */
function sameScore({ how }: StepRecord): number {
  return how === "failed" ? 100 : 200;
}

/** 0 when they are not alike. @param related how much the two builds have in common, from 0 to 1 */
function likeness(
  pairs: StepPairs,
  ours: StepRecord,
  theirs: StepRecord,
  [name, otherName]: readonly [StepName | undefined, StepName | undefined],
  related: number,
): number {
  if (ours.kind !== theirs.kind || name === undefined || otherName === undefined) return 0;
  const alike = commonShare(name.words, otherName.words);
  const samePosition = name.position !== "" && name.position === otherName.position;
  if (alike < leastAlike && !(samePosition && related >= leastAlike)) return 0;
  return (
    (name.title === otherName.title ? 4 : 0) +
    2 * alike +
    (samePosition ? 1 : 0) +
    related +
    2 * commonShare(factTexts(ours), factTexts(theirs)) +
    2 * sameInputs(pairs, ours, theirs) +
    // A run from cache may not know the content, and so not which files it was.
    (knowsContents(ours, theirs) ? 0.5 : 0)
  );
}

function factTexts({ facts }: StepRecord): ReadonlySet<string> {
  return new Set(Object.entries(facts).map(([name, text]) => `${name}=${text}`));
}

function knowsContents(ours: StepRecord, theirs: StepRecord): boolean {
  return ours.inputs.every(
    ({ content }, index) => content === undefined || theirs.inputs[index]?.content !== undefined,
  );
}

function sameInputs(pairs: StepPairs, ours: StepRecord, theirs: StepRecord): number {
  const count = Math.max(ours.inputs.length, theirs.inputs.length);
  if (count === 0) return 0;
  const same = ours.inputs.filter((input, index) => {
    const other: StepInput | undefined = theirs.inputs[index];
    return other !== undefined && pairs.sameInput(input, other);
  });
  return same.length / count;
}
