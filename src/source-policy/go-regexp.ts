import { RE2JS } from "re2js";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { checkMatchingCost } from "./matching-cost.ts";

/** Characters of a pattern; one of this length is compiled within some milliseconds. */
const maxPatternLength = 16_384;
/** Characters of what a template may make of a text: rules could double it again and again. */
const maxFilledLength = 65_536;
/** Compiled expressions that are kept; each takes some kilobytes. */
const maxKept = 1000;

/**
 * A regular expression in Go's syntax (RE2), matched in time linear to the text: patterns come from clients, and one that
 * backtracks would hold up everybody's builds (ADR-0014).
 */
export class GoRegexp {
  readonly #compiled: RE2JS;

  /** @throws BuildError `error parsing regexp: …` */
  constructor(pattern: string) {
    if (pattern.length > maxPatternLength) {
      throw unknown(`regular expression of ${pattern.length} characters is too long: at most ${maxPatternLength}`);
    }
    try {
      this.#compiled = RE2JS.compile(pattern);
    } catch (error) {
      throw unknown((error as Error).message);
    }
  }

  /** True when it matches anywhere in the text. @throws BuildError when that would take too long to find out */
  test(text: string): boolean {
    return this.#matcher(text).find();
  }

  /** The text with every match replaced by the template, filled in (Go's Regexp.ReplaceAllString). @throws as test */
  replaceAll(text: string, template: string): string {
    const names = this.#compiled.namedGroups();
    const matcher = this.#matcher(text);
    let replaced = "";
    let end = 0;
    while (matcher.find()) {
      // An empty match right after another one does not count.
      if (matcher.end() === end && end > 0) continue;
      const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index) ?? undefined);
      replaced += text.slice(end, matcher.start()) + expandTemplate(template, groups, names);
      checkFilledLength(replaced.length);
      end = matcher.end();
    }
    return replaced + text.slice(end);
  }

  #matcher(text: string): ReturnType<RE2JS["matcher"]> {
    checkMatchingCost(this.#compiled.programSize(), text);
    return this.#compiled.matcher(text);
  }
}

/** Expressions by pattern, compiled when first needed. */
export class GoRegexpCache {
  readonly #compiled = new Map<string, GoRegexp>();

  /** @throws BuildError `error parsing regexp: …` */
  get(pattern: string): GoRegexp {
    const known = this.#compiled.get(pattern);
    if (known !== undefined) return known;
    if (this.#compiled.size >= maxKept) this.#compiled.clear();
    const compiled = new GoRegexp(pattern);
    this.#compiled.set(pattern, compiled);
    return compiled;
  }
}

const placeholder = /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu;

/**
 * Fills in `$1`, `${1}` and `${name}`; a group that is not there or took no part is empty, `$$` is a dollar (Go's
 * Regexp.Expand).
 * @throws BuildError when the result would be too long
 */
export function expandTemplate(
  template: string,
  groups: readonly (string | undefined)[],
  names: Readonly<Record<string, number>> = {},
): string {
  let filledLength = template.length;
  return template.replaceAll(placeholder, (_, braced?: string, bare?: string) => {
    const name = braced ?? bare;
    if (name === undefined) return "$";
    const isNumber = /^(?:0|[1-9][0-9]*)$/.test(name);
    const index = isNumber ? Number(name) : Object.hasOwn(names, name) ? names[name] : undefined;
    const value = (index === undefined ? undefined : groups[index]) ?? "";
    filledLength += value.length;
    checkFilledLength(filledLength);
    return value;
  });
}

function checkFilledLength(length: number): void {
  if (length > maxFilledLength) throw unknown(`identifier gets longer than ${maxFilledLength} characters`);
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
