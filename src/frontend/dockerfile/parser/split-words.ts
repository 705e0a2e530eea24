import { isSpace } from "../text.ts";
import type { EscapeToken } from "./ast.ts";

/** First run of blanks that separates an instruction, its legacy key or its words. */
const blanks = /[\t\v\f\r ]+/;

/** Words between blanks; quotes have no meaning. */
export function splitAtBlanks(text: string): string[] {
  return text.split(blanks);
}

/** Text before and after the first run of blanks; `after` is undefined when there is none. */
export function cutAtBlanks(text: string): { readonly before: string; readonly after: string | undefined } {
  const match = blanks.exec(text);
  if (match === null) return { before: text, after: undefined };
  return { before: text.slice(0, match.index), after: text.slice(match.index + match[0].length) };
}

/**
 * Words between blanks outside quotes. Quotes and escapes stay in the words: they are taken away at expansion
 * (BuildKit frontend/dockerfile/parser/line_parsers.go, parseWords).
 */
export function splitQuotedWords(text: string, escapeToken: EscapeToken): string[] {
  const chars = [...text];
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? "";
    if (quote === "" && isSpace(char)) {
      if (word) words.push(word);
      word = undefined;
      continue;
    }
    word ??= "";
    if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === quote) quote = "";
    if (char === escapeToken && quote !== "'") {
      if (i === chars.length - 1) break; // an escape at the very end is dropped
      word += char + (chars[++i] ?? "");
    } else {
      word += char;
    }
  }
  if (word) words.push(word);
  return words;
}

interface Flags {
  readonly flags: string[];
  readonly rest: string;
}

/**
 * The `--flag` words at the start of the arguments, without their quotes and escapes, and the text after them. `--` ends the
 * flags. BuildKit reads them byte by byte and takes each byte for a character: `--chown=é` is one of `Ã©`, and the second byte
 * of `à` is a blank (frontend/dockerfile/parser/split_command.go).
 */
export function extractFlags(text: string, escapeToken: EscapeToken): Flags {
  const { flags, rest } = extractByteFlags(Buffer.from(text).toString("latin1"), escapeToken);
  return { flags, rest: Buffer.from(rest, "latin1").toString() };
}

function extractByteFlags(text: string, escapeToken: EscapeToken): Flags {
  const flags: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (isSpace(text.charAt(at))) {
      at++;
      continue;
    }
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    const flag = readFlag(text, at, escapeToken);
    at = flag.end;
    if (flag.word !== "--") flags.push(flag.word);
    else return { flags, rest: text.slice(at) };
  }
  return { flags, rest: "" };
}

function readFlag(
  text: string,
  start: number,
  escapeToken: EscapeToken,
): { readonly word: string; readonly end: number } {
  let word = "";
  let quote = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote === "" && isSpace(char)) break;
    if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === quote) quote = "";
    else if (char !== escapeToken) word += char;
    else word += text.charAt(++at);
  }
  return { word, end: at };
}
