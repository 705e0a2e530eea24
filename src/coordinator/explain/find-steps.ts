import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { StepRecord } from "../history/index.ts";

/**
 * Places of the steps that a user means: by number as plain progress shows it (`7`, `#7`), by the beginning of a digest, or by a
 * part of the name.
 * @throws BuildError NotFound
 */
export function findSteps(steps: readonly StepRecord[], wanted: string): number[] {
  for (const fits of waysOf(wanted)) {
    const places = steps.flatMap((step, place) => (fits(step) ? [place] : []));
    if (places.length > 0) return places;
  }
  const names = steps.map(({ number, name }) => `  ${number === undefined ? "" : `#${number} `}${name}`);
  throw new BuildError(Code.NotFound, `the build has no step ${JSON.stringify(wanted)}; it has:\n${names.join("\n")}`);
}

type Match = (step: StepRecord) => boolean;

function waysOf(wanted: string): readonly Match[] {
  const number = /^#?(\d{1,5})$/.exec(wanted)?.[1];
  if (number !== undefined) return [(step) => step.number === Number(number)];
  const named: Match = ({ name }) => name.toLowerCase().includes(wanted.toLowerCase());
  const hex = /^(?:sha256:)?([0-9a-f]{6,})$/.exec(wanted)?.[1];
  return hex === undefined ? [named] : [({ digest }) => digest.startsWith(`sha256:${hex}`), named];
}
