import { type StepName, stepName } from "./step-name.ts";
import type { Steps } from "./step-pairs.ts";

/** Of more steps that look alike these many are compared; builds of thousands of steps must not be compared each with each. */
const maxCandidates = 200;

/** The steps of a build by what they may be found by. */
export class StepIndex {
  readonly steps: Steps;
  readonly names: readonly StepName[];
  readonly titles: ReadonlySet<string>;
  readonly #byKey: ReadonlyMap<string, number[]>;
  readonly #byTitle: ReadonlyMap<string, number[]>;
  readonly #byPosition: ReadonlyMap<string, number[]>;
  readonly #byKind: ReadonlyMap<string, number[]>;

  constructor(steps: Steps) {
    this.steps = steps;
    this.names = steps.map(stepName);
    this.titles = new Set(this.names.map(({ title }) => title));
    this.#byKey = grouped(steps, ({ keys }) => keys);
    this.#byTitle = grouped(this.names, ({ title }) => [title]);
    this.#byPosition = grouped(this.names, ({ position }) => (position === "" ? [] : [position]));
    this.#byKind = grouped(steps, ({ kind }) => [kind]);
  }

  /** Places of the steps that may be like one of another build. @param place in `other` */
  candidates(other: StepIndex, place: number): ReadonlySet<number> {
    const { keys = [], kind = "" } = other.steps[place] ?? {};
    const { title = "", position = "" } = other.names[place] ?? {};
    const titled = this.#byTitle.get(title) ?? [];
    const alike = titled.length > 0 ? titled : (this.#byKind.get(kind) ?? []);
    return new Set([
      ...keys.flatMap((key) => this.#byKey.get(key) ?? []).slice(0, maxCandidates),
      ...(this.#byPosition.get(position) ?? []).slice(0, maxCandidates),
      ...alike.slice(0, maxCandidates),
    ]);
  }
}

function grouped<T>(items: readonly T[], namesOf: (item: T) => readonly string[]): ReadonlyMap<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [place, item] of items.entries()) {
    for (const name of namesOf(item)) {
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [place]);
      else group.push(place);
    }
  }
  return groups;
}
