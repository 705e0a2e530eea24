import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** Steps of a pattern times characters of the text: at most about a tenth of a second of matching. */
const maxCost = 8_000_000;

/** Patterns and texts come from clients; matching them holds up everybody's builds. @throws BuildError */
export function checkMatchingCost(patternSteps: number, text: string): void {
  if (patternSteps * text.length <= maxCost) return;
  throw new BuildError(
    Code.Unknown,
    `pattern of ${patternSteps} steps is too costly to match with a text of ${text.length} characters`,
  );
}
