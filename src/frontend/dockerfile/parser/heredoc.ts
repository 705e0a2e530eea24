import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { emptyEnv } from "../shell/env-lookup.ts";
import { WordLexer } from "../shell/word-lexer.ts";
import type { Heredoc } from "./ast.ts";

const operator = /^(\d*)<<(-?)([^<]*)$/;
/** Heredoc operators are shell syntax: their escape is always the backslash. */
const escapeToken = "\\";

/**
 * The heredoc which a word such as `<<EOF`, `3<<-"EOF"` announces; its content is empty. Undefined when it announces none.
 *
 * @throws BuildError when the delimiter does not lex.
 */
export function parseHeredoc(word: string): Heredoc | undefined {
  const match = operator.exec(word);
  const delimiter = match?.[3]?.replace(/^[\t\n\f\r ]+/, "");
  if (!match || !delimiter) return undefined;
  const words = new WordLexer({ escapeToken, skipUnsetEnv: true }).processWords(delimiter, emptyEnv);
  const [name] = words;
  if (name === undefined || words.length !== 1) return undefined;
  const raw = new WordLexer({ escapeToken, skipUnsetEnv: true, rawQuotes: true }).processWords(delimiter, emptyEnv);
  const [rawName] = raw;
  if (rawName === undefined || raw.length !== 1) {
    throw new BuildError(Code.Unknown, `internal lexing of heredoc produced inconsistent results: ${delimiter}`);
  }
  return {
    name,
    fileDescriptor: match[1] ? Number(match[1]) : 0,
    // A quote which lexing took away was a quote of the delimiter.
    expand: countQuotes(name) === countQuotes(rawName),
    chomp: match[2] === "-",
    content: "",
  };
}

/** As `parseHeredoc`, for words which were looked at before: one that does not lex is none. */
export function tryParseHeredoc(word: string): Heredoc | undefined {
  try {
    return parseHeredoc(word);
  } catch {
    return undefined;
  }
}

/** The heredocs a line announces, in order. @throws BuildError */
export function heredocsOfLine(line: string): Heredoc[] {
  let words: readonly string[];
  try {
    words = new WordLexer({ escapeToken, skipUnsetEnv: true, rawQuotes: true, rawEscapes: true }).processWords(
      line,
      emptyEnv,
    );
  } catch {
    return []; // the instruction itself reports what is wrong with the line
  }
  return words.map(parseHeredoc).filter((heredoc) => heredoc !== undefined);
}

/** The text without the leading tabs of each line. */
export function chompHeredoc(content: string): string {
  return content.replace(/(^|\n)\t+/g, "$1");
}

function countQuotes(text: string): number {
  return text.split(/['"]/).length - 1;
}
