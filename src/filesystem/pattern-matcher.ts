import { RE2JS } from "re2js";
import { BadPatternError, goMatch } from "./go-match.ts";
import { cleanPath } from "./go-path.ts";

/** Which patterns matched a directory; given back for its children so that they need not be tried against every parent. */
export type ParentMatches = readonly boolean[];

export interface PathMatch {
  readonly matched: boolean;
  readonly parents: ParentMatches;
}

/**
 * Path patterns of .dockerignore, include and exclude lists, with the results of moby/patternmatcher v0.6: `**`, `!`
 * exceptions, and a match of a directory counts for all below it. Paths and patterns are text, paths relative with `/`.
 */
export class PatternMatcher {
  readonly patterns: readonly PathPattern[];
  /** Some pattern begins with `!`. */
  readonly hasExceptions: boolean;

  /** @throws BadPatternError; Error `illegal exclusion pattern: "!"` */
  constructor(patterns: readonly string[]) {
    const compiled: PathPattern[] = [];
    for (const given of patterns) {
      const trimmed = given.trim();
      if (trimmed === "") continue;
      let text = cleanPath(trimmed);
      const exception = text.startsWith("!");
      if (exception) {
        if (text.length === 1) throw new Error('illegal exclusion pattern: "!"');
        text = text.slice(1);
      }
      goMatch(text, ".");
      compiled.push(new PathPattern(text, exception));
    }
    this.patterns = compiled;
    this.hasExceptions = compiled.some((pattern) => pattern.exception);
  }

  /** True when the path, or a directory above it, matches and no later exception takes it out. */
  matches(path: string): boolean {
    return this.matchBelow(path).matched;
  }

  /**
   * Matches one path of a walk.
   * @param parents result for the directory above; absent when that was not matched, and all directories above are tried
   */
  matchBelow(path: string, parents?: ParentMatches): PathMatch {
    let matched = false;
    const result = new Array<boolean>(this.patterns.length).fill(false);
    for (const [i, pattern] of this.patterns.entries()) {
      let hit = parents?.[i] ?? false;
      if (!hit) {
        // A plain pattern cannot add to a match, an exception cannot take from a miss.
        if (pattern.exception !== matched) continue;
        hit = pattern.matches(path) || (parents === undefined && matchesParent(pattern, path));
      }
      result[i] = hit;
      if (hit) matched = !pattern.exception;
    }
    return { matched, parents: result };
  }
}

function matchesParent(pattern: PathPattern, path: string): boolean {
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
    const parent = path.slice(0, at);
    try {
      if (pattern.matches(parent)) return true;
    } catch (error) {
      if (!(error instanceof BadPatternError)) throw error;
    }
  }
  return false;
}

type PatternKind = "exact" | "prefix" | "suffix" | "regexp";

interface CompiledPattern {
  readonly kind: PatternKind;
  readonly regexp?: { test(text: string): boolean };
}

/** JavaScript's expressions backtrack: each further wildcard may take as long as the text has characters. */
const maxBacktrackingWildcards = 2;

/** One pattern, cleaned and without its `!`. */
export class PathPattern {
  readonly text: string;
  readonly exception: boolean;
  #compiled: CompiledPattern | undefined;

  constructor(text: string, exception: boolean) {
    this.text = text;
    this.exception = exception;
  }

  /** @throws BadPatternError when the pattern passes Go's syntax check and still is no regular expression */
  matches(path: string): boolean {
    this.#compiled ??= compile(this.text);
    const { kind, regexp } = this.#compiled;
    switch (kind) {
      case "exact":
        return path === this.text;
      case "prefix":
        return path.startsWith(this.text.slice(0, -2));
      case "suffix": {
        const suffix = this.text.slice(2);
        return path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
      }
      case "regexp":
        return regexp?.test(path) ?? false;
    }
  }

  /** The directory all matches lie in, if the pattern is one: without a last `/**` or `/*`. */
  get withoutTrailingGlob(): string {
    return this.text.replace(/\/\*\*$/, "").replace(/\/\*$/, "");
  }
}

const regexpSpecial = new Set([".", "+", "(", ")", "|", "{", "}", "$"]);

/** Same steps as moby's translation, whose choice of kind decides results (`a**` is a prefix, not a glob). */
function compile(pattern: string): CompiledPattern {
  const chars = [...pattern];
  let kind: PatternKind = "exact";
  let source = "^";
  let inClass = false;
  let i = 0;
  for (let step = 0; i < chars.length; step++) {
    const ch = chars[i++] as string;
    if (ch === "*") {
      if (chars[i] !== "*") {
        source += "[^/]*";
        kind = "regexp";
        continue;
      }
      i++;
      if (chars[i] === "/") i++;
      if (i < chars.length) {
        source += "([^\\n]*/)?";
        kind = "regexp";
      } else if (kind === "exact") {
        kind = "prefix";
      } else {
        source += "[^\\n]*";
        kind = "regexp";
      }
      if (step === 0) kind = "suffix";
    } else if (ch === "?") {
      source += "[^/]";
      kind = "regexp";
    } else if (ch === "\\") {
      const next = chars[i++];
      if (next === undefined) {
        source += "\\\\";
      } else {
        source += escaped(next);
        kind = "regexp";
      }
    } else if (ch === "[" && !inClass) {
      inClass = true;
      source += "[";
      if (chars[i] === "^") {
        source += "^";
        i++;
      }
      kind = "regexp";
    } else if (ch === "]") {
      source += inClass ? "]" : "\\]";
      inClass = false;
      kind = "regexp";
    } else if (ch === "[") {
      source += "\\[";
    } else if (regexpSpecial.has(ch)) {
      source += `\\${ch}`;
    } else if (ch === "/" && inClass) {
      source += "\\/";
    } else {
      source += ch;
    }
  }
  if (kind !== "regexp") return { kind };
  try {
    const regexp = new RegExp(`${source}$`, "u");
    const wildcards = pattern.split(/\*+/).length - 1;
    return { kind, regexp: wildcards <= maxBacktrackingWildcards ? regexp : linear(`${source}$`) };
  } catch {
    throw new BadPatternError();
  }
}

/** Slower for most texts, and in time linear to all. */
function linear(source: string): { test(text: string): boolean } {
  const compiled = RE2JS.compile(source);
  return { test: (text) => compiled.matcher(text).find() };
}

/** RE2 takes a backslash before ASCII punctuation, and a few letters, which then have their RE2 meaning. */
function escaped(ch: string): string {
  if (/^[A-Za-z0-9]$/.test(ch)) {
    if ("dDsSwWfnrtv".includes(ch)) return `\\${ch}`;
    throw new BadPatternError();
  }
  if ((ch.codePointAt(0) as number) >= 0x80) throw new BadPatternError();
  return /[$()*+./?[\\\]^{|}-]/.test(ch) ? `\\${ch}` : ch;
}

/** Error text of a list that does not compile: `invalid includepatterns: [a b]: syntax error in pattern`. */
export function compilePatterns(
  label: "includepatterns" | "excludepatterns",
  patterns: readonly string[],
): PatternMatcher | undefined {
  if (patterns.length === 0) return undefined;
  try {
    return new PatternMatcher(patterns);
  } catch (error) {
    throw new Error(`invalid ${label}: [${patterns.join(" ")}]: ${(error as Error).message}`, { cause: error });
  }
}
