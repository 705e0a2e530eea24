/** Hints only names that are at most this many edits away. */
const maxDistance = 2;

export interface SuggestOptions {
  readonly caseSensitive: boolean;
}

/**
 * The option nearest to a misspelt name, or undefined: nothing is near, or the name is right as it is. Of equally near
 * options the first wins (BuildKit util/suggest takes any).
 */
export function suggest(
  name: string,
  options: Iterable<string>,
  { caseSensitive }: SuggestOptions,
): string | undefined {
  const wanted = caseSensitive ? name : name.toLowerCase();
  let best: string | undefined;
  let bestDistance = maxDistance + 1;
  for (const option of options) {
    const candidate = caseSensitive ? option : option.toLowerCase();
    if (candidate === wanted) return undefined;
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue;
    const distance = editDistance(wanted, candidate);
    if (distance < bestDistance) {
      best = caseSensitive ? candidate : inCaseOf(name, candidate);
      bestDistance = distance;
    }
  }
  return best === "" ? undefined : best;
}

/** The message with ` (did you mean X?)` when an option is near. */
export function withSuggestion(
  message: string,
  name: string,
  options: Iterable<string>,
  how: SuggestOptions = { caseSensitive: true },
): string {
  const match = suggest(name, options, how);
  return match === undefined ? message : `${message} (did you mean ${match}?)`;
}

function inCaseOf(original: string, text: string): string {
  if (original === original.toLowerCase()) return text.toLowerCase();
  if (original === original.toUpperCase()) return text.toUpperCase();
  return text;
}

/** Levenshtein distance in code points. */
function editDistance(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (const [i, char] of left.entries()) {
    const next = [i + 1];
    for (const [j, other] of right.entries()) {
      const replaced = (row[j] ?? 0) + (char === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
