import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/** Value of a field by its path; undefined = the object has none. */
export type FilterField = (path: readonly string[]) => string | undefined;

interface Selector {
  readonly path: readonly string[];
  readonly operator: "==" | "!=" | "~=" | "present";
  readonly value: string;
}

/**
 * Reads one containerd filter expression (containerd pkg/filters/parser.go): an object matches when all of its comma-separated
 * selectors hold. @throws BuildError Unknown, as BuildKit, when the expression cannot be read
 */
export function parseFilter(filter: string): (field: FilterField) => boolean {
  const selectors = filter === "" ? [] : new FilterParser(filter).selectors();
  return (field) => selectors.every((selector) => holds(selector, field));
}

/** As `parseFilter`, for one object. */
export function matchesFilter(filter: string, field: FilterField): boolean {
  return parseFilter(filter)(field);
}

/** @throws BuildError Unknown, as BuildKit, when one of the expressions cannot be read */
export function checkFilters(filters: readonly string[]): void {
  for (const filter of filters) parseFilter(filter);
}

function holds({ path, operator, value }: Selector, field: FilterField): boolean {
  const actual = field(path);
  switch (operator) {
    case "==":
      return actual === value;
    case "!=":
      return actual !== value;
    case "~=":
      return matchesPattern(value, actual ?? "");
    default:
      return actual !== undefined;
  }
}

/** As there, a pattern that is none matches nothing. */
function matchesPattern(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return false;
  }
}

const quoted = `(["/|])((?:\\\\.|(?!\\1)[^\\\\\\n])*)\\1`;
const fieldPattern = new RegExp(`\\s*(?:${quoted}|[A-Za-z0-9_]+)`, "y");
const valuePattern = new RegExp(`\\s*(?:${quoted}|[^\\s,"/|=!~.][^\\s,]*)`, "y");
const operatorPattern = /\s*[=!~]+/y;

/** Left to right; each part is taken from where the last one ended. */
class FilterParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  selectors(): readonly Selector[] {
    const selectors = [this.#selector()];
    while (this.#skip(",")) selectors.push(this.#selector());
    if (this.#at < this.#text.length) throw this.#error(`unexpected input: ${this.#text[this.#at]}`);
    return selectors;
  }

  #selector(): Selector {
    const path = [this.#word(fieldPattern, "field", false)];
    while (this.#skip(".")) path.push(this.#word(fieldPattern, "field", false));
    if (this.#at === this.#text.length || this.#text[this.#at] === ",") return { path, operator: "present", value: "" };
    const start = this.#at;
    const operator = this.#take(operatorPattern)?.[0].trim();
    if (operator === undefined) throw this.#error('expected an operator ("=="|"!="|"~=")', this.#nextWord);
    if (operator !== "==" && operator !== "!=" && operator !== "~=") {
      throw this.#error(`unsupported operator ${JSON.stringify(operator)}`, start);
    }
    return { path, operator, value: this.#word(valuePattern, "value", operator === "~=") };
  }

  /** @param anyQuotes also `/` and `|`, which save escapes in patterns */
  #word(pattern: RegExp, what: string, anyQuotes: boolean): string {
    const start = this.#at;
    const match = this.#take(pattern);
    if (match === undefined) {
      const isOpen = /^["/|]/.test(this.#text.slice(this.#nextWord));
      throw this.#error(isOpen ? "quoted literal not terminated" : `expected ${what} or quoted`, this.#nextWord);
    }
    const [text, quote, content = ""] = match;
    if (quote === undefined) return text.trim();
    if (quote !== '"' && !anyQuotes) throw this.#error("invalid quote encountered", start);
    return goUnescape(content);
  }

  get #nextWord(): number {
    const found = this.#text.slice(this.#at).search(/\S/);
    return found < 0 ? this.#text.length : this.#at + found;
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #error(message: string, at = this.#at): BuildError {
    const text = this.#text;
    const place = at < text.length ? `${text.slice(0, at)} >|${text[at]}|< ${text.slice(at + 1)}` : text;
    return new BuildError(Code.Unknown, `filters: parse error: [${place}]: ${message}: invalid argument`);
  }
}

const escapes: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
};

/** Escapes as in a Go string. */
function goUnescape(text: string): string {
  return text.replace(/\\(?:x(..)|u(....)|U(.{8})|([0-7]{3})|(.))/g, (_, hex2, hex4, hex8, octal, character) => {
    const hex = hex2 ?? hex4 ?? hex8;
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16) || 0);
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    return escapes[character] ?? character;
  });
}
