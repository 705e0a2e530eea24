import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

type Token = { readonly kind: "literal"; readonly char: string } | { readonly kind: "any" } | { readonly kind: "star" };

/**
 * A `*` and `?` pattern of a `${name…}` modifier. Neither wildcard matches a line feed. Matching costs pattern × text steps
 * whatever the pattern is (BuildKit frontend/dockerfile/shell/lex.go makes a regular expression of it).
 */
export class Wildcard {
  readonly #tokens: readonly Token[];
  readonly #greedy: boolean;

  /** @throws BuildError `invalid escape …` */
  constructor(pattern: string, options: { readonly greedy: boolean }) {
    this.#tokens = tokenize(pattern);
    this.#greedy = options.greedy;
  }

  /** For every start in `text` the end of the match there, or -1. */
  ends(text: readonly string[]): Int32Array {
    let row = Int32Array.from({ length: text.length + 1 }, (_, i) => i);
    for (const token of this.#tokens.toReversed()) {
      const next = new Int32Array(text.length + 1).fill(-1);
      for (let i = text.length; i >= 0; i--) next[i] = this.#end(token, text, i, row, next);
      row = next;
    }
    return row;
  }

  #end(token: Token, text: readonly string[], i: number, after: Int32Array, here: Int32Array): number {
    const char = text[i];
    if (token.kind === "literal") return char === token.char ? (after[i + 1] ?? -1) : -1;
    const longer = char === undefined || char === "\n" ? -1 : ((token.kind === "any" ? after : here)[i + 1] ?? -1);
    if (token.kind === "any") return longer;
    const shorter = after[i] ?? -1;
    const [first, second] = this.#greedy ? [longer, shorter] : [shorter, longer];
    return first >= 0 ? first : second;
  }
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = [];
  const chars = [...pattern];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? "";
    if (char === "*") tokens.push({ kind: "star" });
    else if (char === "?") tokens.push({ kind: "any" });
    else if (char !== "\\") tokens.push({ kind: "literal", char });
    else if (chars[i + 1] !== "}" && chars[i + 1] !== "/") {
      // `\}` and `\/` are escaped for the sake of ${…}: their backslash is not part of the pattern.
      const escaped = chars[++i];
      if (escaped !== "*" && escaped !== "?" && escaped !== "\\") {
        throw new BuildError(Code.Unknown, `invalid escape '\\${escaped ?? "\ufffd"}'`);
      }
      tokens.push({ kind: "literal", char: escaped });
    }
  }
  return tokens;
}

/** The value without the shortest or longest prefix that matches. @throws BuildError */
export function trimPrefix(pattern: string, value: string, options: { readonly greedy: boolean }): string {
  const chars = [...value];
  const end = compile(pattern, options).ends(chars)[0] ?? -1;
  return end < 0 ? value : chars.slice(end).join("");
}

/** The value without the shortest or longest suffix that matches. @throws BuildError */
export function trimSuffix(pattern: string, value: string, options: { readonly greedy: boolean }): string {
  const chars = [...value].toReversed();
  const backwards = reversePattern(pattern);
  const end = compile(backwards, options).ends(chars)[0] ?? -1;
  return end < 0 ? value : chars.slice(end).toReversed().join("");
}

/** The value with the first match replaced. @throws BuildError */
export function replaceFirst(pattern: string, value: string, replacement: string): string {
  const chars = [...value];
  const ends = compile(pattern, { greedy: true }).ends(chars);
  const start = ends.findIndex((end) => end >= 0);
  if (start < 0) return value;
  return chars.slice(0, start).join("") + replacement + chars.slice(ends[start]).join("");
}

/**
 * The value with every match replaced. As in BuildKit, `$0` in the replacement stands for the match, `$$` for a dollar, and
 * other `$name` for nothing. @throws BuildError
 */
export function replaceAll(pattern: string, value: string, replacement: string): string {
  const chars = [...value];
  const ends = compile(pattern, { greedy: true }).ends(chars);
  let result = "";
  let copied = 0;
  for (let at = 0; at <= chars.length; ) {
    const end = ends[at] ?? -1;
    if (end < 0) {
      at++;
      continue;
    }
    result += chars.slice(copied, at).join("");
    // An empty match right behind another match does not count.
    if (end > copied || at === 0) result += fillTemplate(replacement, chars.slice(at, end).join(""));
    copied = end;
    at = Math.max(end, at + 1);
  }
  return result + chars.slice(copied).join("");
}

function fillTemplate(template: string, match: string): string {
  return template.replace(/\$(?:\$|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu, (whole, bare, braced) => {
    if (whole === "$$") return "$";
    return (bare ?? braced) === "0" ? match : "";
  });
}

function compile(pattern: string, options: { readonly greedy: boolean }): Wildcard {
  try {
    return new Wildcard(pattern, options);
  } catch (error) {
    const { message } = BuildError.from(error);
    throw new BuildError(Code.Unknown, `invalid pattern (${pattern}) in substitution: ${message}`, { cause: error });
  }
}

/** The pattern backwards, escapes kept before their character. */
function reversePattern(pattern: string): string {
  return [...pattern.matchAll(/\\.|./gsu)]
    .map(([part]) => part)
    .toReversed()
    .join("");
}
