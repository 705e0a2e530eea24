/** The pattern is malformed (Go filepath.ErrBadPattern). */
export class BadPatternError extends Error {
  constructor() {
    super("syntax error in pattern");
    this.name = "BadPatternError";
  }
}

/**
 * Go `filepath.Match` on Unix: `*` and `?` stop at `/`, classes are `[a-z]` and `[^a-z]`, backslash escapes. The whole name
 * must match. Both arguments are text; characters are code points.
 * @throws BadPatternError even when the name would not have matched anyway
 */
export function goMatch(pattern: string, name: string): boolean {
  return matchTokens(parse(pattern), [...name], 0, 0);
}

type Token =
  | { readonly kind: "literal"; readonly char: string }
  | { readonly kind: "any" }
  | { readonly kind: "star" }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] };

function parse(pattern: string): readonly Token[] {
  const chars = [...pattern];
  const tokens: Token[] = [];
  let i = 0;
  const classChar = (): string => {
    let ch = chars[i++];
    if (ch === undefined || ch === "-" || ch === "]") throw new BadPatternError();
    if (ch === "\\") {
      ch = chars[i++];
      if (ch === undefined) throw new BadPatternError();
    }
    // A class has to be closed, so something must follow every character of it.
    if (i >= chars.length) throw new BadPatternError();
    return ch;
  };
  while (i < chars.length) {
    const ch = chars[i++] as string;
    if (ch === "*") {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (ch === "?") {
      tokens.push({ kind: "any" });
    } else if (ch === "\\") {
      const next = chars[i++];
      if (next === undefined) throw new BadPatternError();
      tokens.push({ kind: "literal", char: next });
    } else if (ch === "[") {
      const negated = chars[i] === "^";
      if (negated) i++;
      const ranges: (readonly [string, string])[] = [];
      for (;;) {
        if (chars[i] === "]" && ranges.length > 0) {
          i++;
          break;
        }
        const low = classChar();
        let high = low;
        if (chars[i] === "-") {
          i++;
          high = classChar();
        }
        ranges.push([low, high]);
      }
      tokens.push({ kind: "class", negated, ranges });
    } else {
      tokens.push({ kind: "literal", char: ch });
    }
  }
  return tokens;
}

function matchTokens(
  tokens: readonly Token[],
  name: readonly string[],
  startToken: number,
  startName: number,
): boolean {
  let t = startToken;
  let n = startName;
  // The last star is the only one worth going back to: an earlier one could only have eaten less.
  let starToken = -1;
  let starName = -1;
  for (;;) {
    const token = tokens[t];
    const ch = name[n];
    if (token?.kind === "star") {
      starToken = t++;
      starName = n;
      continue;
    }
    if (token === undefined && ch === undefined) return true;
    if (token !== undefined && ch !== undefined && matchOne(token, ch)) {
      t++;
      n++;
      continue;
    }
    if (starToken < 0 || starName >= name.length || name[starName] === "/") return false;
    starName++;
    t = starToken + 1;
    n = starName;
  }
}

function matchOne(token: Token, ch: string): boolean {
  switch (token.kind) {
    case "literal":
      return token.char === ch;
    case "any":
      return ch !== "/";
    case "class": {
      const code = ch.codePointAt(0) as number;
      const inside = token.ranges.some(
        ([low, high]) => (low.codePointAt(0) as number) <= code && code <= (high.codePointAt(0) as number),
      );
      return inside !== token.negated;
    }
    case "star":
      return false;
  }
}
