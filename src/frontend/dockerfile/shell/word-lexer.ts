import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { EscapeToken } from "../parser/ast.ts";
import { isSpace, quote } from "../text.ts";
import type { EnvLookup } from "./env-lookup.ts";
import { replaceAll, replaceFirst, trimPrefix, trimSuffix } from "./wildcard.ts";

export interface LexerOptions {
  readonly escapeToken: EscapeToken;
  /** Keep quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keep escape tokens in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are ordinary characters. */
  readonly skipProcessQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  readonly skipUnsetEnv?: boolean;
}

/** `${…}` within `${…}`: BuildKit goes on until its stack of 1 GB is full. */
const maxNesting = 500;

/** Characters that variables may put in place of themselves in all words of one lexer: some lines would fill any memory. */
const maxExpansion = 64 << 20;

export interface LexedWord {
  readonly result: string;
  readonly words: readonly string[];
  /** Names looked up and found. */
  readonly matched: ReadonlySet<string>;
  /** Names looked up and not found, in order. */
  readonly unmatched: ReadonlySet<string>;
}

/**
 * Expands variables and takes away quotes and escapes, much like a shell: `$name`, `${name}` and the modifiers
 * `:- - :+ + :? ? # ## % %% / //` (BuildKit frontend/dockerfile/shell/lex.go).
 */
export class WordLexer {
  readonly #options: LexerOptions;
  readonly #budget = { left: maxExpansion };

  constructor(options: LexerOptions) {
    this.#options = options;
  }

  /** Expands; blanks stay as they are. @throws BuildError `failed to process "…": …` */
  processWord(word: string, env: EnvLookup): LexedWord {
    return new LexerRun(this.#options, word, env, this.#budget).run();
  }

  /** Expands, then splits at blanks outside quotes. @throws BuildError */
  processWords(word: string, env: EnvLookup): readonly string[] {
    return this.processWord(word, env).words;
  }
}

/** One pass over one word. */
class LexerRun {
  readonly #options: LexerOptions;
  readonly #source: string;
  readonly #chars: readonly string[];
  readonly #env: EnvLookup;
  readonly #budget: { left: number };
  readonly #matched = new Set<string>();
  readonly #unmatched = new Set<string>();
  #at = 0;
  #nesting = 0;
  #rawEscapes: boolean;
  /** The word being collected. Shared with nested `${…}` parts, which start it anew: BuildKit does so too. */
  #collected = "";

  constructor(options: LexerOptions, source: string, env: EnvLookup, budget: { left: number }) {
    this.#options = options;
    this.#source = source;
    this.#chars = [...source];
    this.#env = env;
    this.#budget = budget;
    this.#rawEscapes = options.rawEscapes ?? false;
  }

  run(): LexedWord {
    try {
      const { result, words } = this.#until(undefined, this.#rawEscapes);
      return { result, words, matched: this.#matched, unmatched: this.#unmatched };
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to process ${quote(shownStart(this.#source))}`);
    }
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #next(): string | undefined {
    return this.#chars[this.#at++];
  }

  /** Reads up to the end, or up to and over `stop`. */
  #until(stop: string | undefined, rawEscapes: boolean): { readonly result: string; readonly words: string[] } {
    const outerRawEscapes = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    if (++this.#nesting > maxNesting) throw syntaxError(`substitutions are nested more than ${maxNesting - 1} deep`);
    try {
      return this.#read(stop);
    } finally {
      this.#nesting--;
      this.#rawEscapes = outerRawEscapes;
    }
  }

  #read(stop: string | undefined): { readonly result: string; readonly words: string[] } {
    const words: string[] = [];
    let result = "";
    this.#collected = "";
    const finish = () => {
      if (this.#collected !== "") words.push(this.#collected);
      this.#collected = "";
      return { result, words };
    };
    const collect = (text: string) => {
      for (const char of text) {
        if (!isSpace(char)) {
          this.#collected += char;
        } else if (this.#collected !== "") {
          words.push(this.#collected);
          this.#collected = "";
        }
      }
    };

    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === stop) {
        this.#at++;
        return finish();
      }
      if (char === "$") {
        const value = this.#dollar();
        result += value;
        collect(value);
      } else if (char === "<" || (isQuote(char) && !this.#options.skipProcessQuotes)) {
        const text = char === "<" ? this.#heredocOperator() : this.#quoted(char);
        result += text;
        this.#collected += text;
      } else if (char === this.#options.escapeToken) {
        const text = this.#escaped();
        result += text;
        this.#collected += text;
      } else {
        const text = this.#ordinary(stop);
        result += text;
        collect(text);
      }
    }
    if (stop !== undefined) throw syntaxError(`unexpected end of statement while looking for matching ${stop}`);
    return finish();
  }

  /** The characters up to one that means something; this one means nothing. */
  #ordinary(stop: string | undefined): string {
    const start = this.#at++;
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === stop || char === "$" || char === "<" || isQuote(char) || char === this.#options.escapeToken) break;
      this.#at++;
    }
    return this.#chars.slice(start, this.#at).join("");
  }

  /** An escape token and what it escapes; at the end of the word it is dropped. */
  #escaped(): string {
    const token = this.#next() ?? "";
    return (this.#rawEscapes ? token : "") + (this.#next() ?? "");
  }

  #quoted(mark: string): string {
    this.#at++;
    const inner = mark === "'" ? this.#singleQuoted() : this.#doubleQuoted();
    return this.#options.rawQuotes ? mark + inner + mark : inner;
  }

  #singleQuoted(): string {
    const end = this.#chars.indexOf("'", this.#at);
    if (end < 0) {
      this.#at = this.#chars.length;
      throw syntaxError("unexpected end of statement while looking for matching single-quote");
    }
    const inner = this.#chars.slice(this.#at, end).join("");
    this.#at = end + 1;
    return inner;
  }

  #doubleQuoted(): string {
    let result = "";
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === "$") {
        result += this.#dollar();
        continue;
      }
      this.#at++;
      if (char === '"') return result;
      if (char === this.#options.escapeToken) {
        if (this.#rawEscapes) result += char;
        const escaped = this.#peek();
        if (escaped === undefined) continue;
        // Of all characters only these are escaped here; before others the token stands for itself.
        if (escaped === '"' || escaped === "$" || escaped === this.#options.escapeToken) char = this.#next() ?? "";
      }
      result += char;
    }
    throw syntaxError("unexpected end of statement while looking for matching double-quote");
  }

  /** `<<` takes the blanks behind it along, so that a heredoc operator stays one word. */
  #heredocOperator(): string {
    this.#at++;
    if (this.#peek() !== "<") return "<";
    this.#at++;
    let result = "<<";
    for (let char = this.#peek(); char === " " || char === "\t" || char === "\r"; char = this.#peek()) {
      result += char;
      this.#at++;
    }
    return result;
  }

  #dollar(): string {
    this.#at++;
    if (this.#peek() !== "{") {
      const name = this.#name();
      if (name === "") return "$";
      return this.#lookup(name) ?? this.#unset(`$${name}`);
    }
    this.#at++;
    const first = this.#peek();
    if (first === undefined) throw syntaxError("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":") throw syntaxError("syntax error: bad substitution");
    const name = this.#name();
    const modifier = this.#next();
    switch (modifier) {
      case "}":
        return this.#lookup(name) ?? this.#unset(`\${${name}}`);
      case ":":
        return this.#modified(name, this.#next(), true);
      case "+":
      case "-":
      case "?":
      case "#":
      case "%":
        return this.#modified(name, modifier, false);
      case "/":
        return this.#replaced(name);
      default:
        throw unsupported(modifier ?? "\ufffd");
    }
  }

  /** What an unset variable without default becomes. */
  #unset(reference: string): string {
    return this.#options.skipUnsetEnv ? reference : "";
  }

  #modified(name: string, operator: string | undefined, nullIsUnset: boolean): string {
    const shown = (nullIsUnset ? ":" : "") + (operator ?? "\ufffd");
    const trims = operator === "#" || operator === "%";
    if (nullIsUnset && trims) throw unsupported(shown);
    const word = this.#inner("}", trims, "syntax error: missing '}'");
    const value = this.#lookup(name);
    if (value === undefined && this.#options.skipUnsetEnv) return `\${${name}${shown}${word}}`;
    const absent = value === undefined || (nullIsUnset && value === "");
    switch (operator) {
      case "-":
        return absent ? word : value;
      case "+":
        return absent ? "" : word;
      case "?": {
        if (!absent) return value;
        const why = value === undefined ? "is not allowed to be unset" : "is not allowed to be empty";
        throw syntaxError(`${name}: ${word || why}`);
      }
      case "#":
      case "%": {
        const greedy = word.startsWith(operator);
        const trim = operator === "%" ? trimSuffix : trimPrefix;
        return trim(greedy ? word.slice(1) : word, value ?? "", { greedy });
      }
      default:
        throw unsupported(shown);
    }
  }

  #replaced(name: string): string {
    const all = this.#peek() === "/";
    if (all) this.#at++;
    const pattern = this.#inner("/", true, `syntax error: missing '/' in $` + "{}");
    const replacement = this.#inner("}", true, "syntax error: missing '}'");
    const value = this.#lookup(name);
    if (value === undefined && this.#options.skipUnsetEnv) return `\${${name}/${pattern}/${replacement}}`;
    // More is not to come of it.
    this.#take((all ? (value?.length ?? 0) + 1 : 1) * replacement.length);
    return (all ? replaceAll : replaceFirst)(pattern, value ?? "", replacement);
  }

  /** The word inside `${name…}`; any error at the end of the text is about the end that is missing. */
  #inner(stop: string, rawEscapes: boolean, atEnd: string): string {
    try {
      return this.#until(stop, rawEscapes).result;
    } catch (error) {
      if (this.#peek() === undefined) throw syntaxError(atEnd);
      throw error;
    }
  }

  /** Letters, digits and `_`; only digits when it starts with one; or one special parameter. May be empty. */
  #name(): string {
    const first = this.#peek();
    if (first === undefined) return "";
    if (!/\p{Nd}/u.test(first) && "@*#?-$!".includes(first)) return this.#next() ?? "";
    const allowed = /\p{Nd}/u.test(first) ? /\p{Nd}/u : /[\p{L}\p{Nd}_]/u;
    let name = "";
    for (let char = this.#peek(); char !== undefined && allowed.test(char); char = this.#peek()) {
      name += char;
      this.#at++;
    }
    return name;
  }

  #lookup(name: string): string | undefined {
    const value = this.#env.get(name);
    (value === undefined ? this.#unmatched : this.#matched).add(name);
    this.#take(value?.length ?? 0);
    return value;
  }

  #take(length: number): void {
    this.#budget.left -= length;
    if (this.#budget.left < 0) throw syntaxError(`variables expand to more than ${maxExpansion >> 20} MiB`);
  }
}

/** Messages travel in trailers: of a long word the start is shown, so that what is wrong with it is not cut off. */
function shownStart(word: string): string {
  return word.length <= 2000 ? word : `${word.slice(0, 2000).toWellFormed()}…`;
}

function isQuote(char: string): boolean {
  return char === "'" || char === '"';
}

function syntaxError(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}

function unsupported(modifier: string): BuildError {
  return syntaxError(`unsupported modifier (${modifier}) in substitution`);
}
