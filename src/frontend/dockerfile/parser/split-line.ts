import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { cut, isSpace, quote, trimSpace, trimSpaceStart } from "../text.ts";
import type { EscapeToken } from "./ast.ts";
import { cutAtBlanks, extractFlags, splitAtBlanks, splitQuotedWords } from "./split-words.ts";

/** A logical line, split the way its instruction asks for. */
export interface SplitLine {
  readonly name: string;
  readonly flags: readonly string[];
  readonly args: readonly string[];
  readonly json: boolean;
  /** The line inside an ONBUILD. */
  readonly trigger?: SplitLine;
}

interface Arguments {
  readonly args: readonly string[];
  readonly json?: boolean;
  readonly trigger?: SplitLine;
}

type Splitter = (rest: string, escapeToken: EscapeToken) => Arguments;

/** Splits a line (BuildKit frontend/dockerfile/parser/line_parsers.go). @throws BuildError */
export function splitLine(line: string, escapeToken: EscapeToken): SplitLine {
  const { before: name, after } = cutAtBlanks(trimSpace(line));
  const { flags, rest } = extractFlags(after ?? "", escapeToken);
  const split = splitters.get(name.toLowerCase()) ?? ignored;
  const { args, json = false, trigger } = split(trimSpace(rest), escapeToken);
  return { name, flags, args, json, ...(trigger && { trigger }) };
}

const splitters = new Map<string, Splitter>([
  ["add", jsonOrWords],
  ["arg", (rest, escapeToken) => ({ args: splitQuotedWords(rest, escapeToken) })],
  ["cmd", jsonOrText],
  ["copy", jsonOrWords],
  ["entrypoint", jsonOrText],
  ["env", (rest, escapeToken) => keyValues(rest, "ENV", escapeToken)],
  ["expose", words],
  ["from", words],
  ["healthcheck", typedCommand],
  ["label", (rest, escapeToken) => keyValues(rest, "LABEL", escapeToken)],
  ["maintainer", text],
  ["onbuild", nested],
  ["run", jsonOrText],
  ["shell", jsonOrText],
  ["stopsignal", text],
  ["user", text],
  ["volume", jsonOrWords],
  ["workdir", text],
]);

function ignored(): Arguments {
  return { args: [""] };
}

function text(rest: string): Arguments {
  return { args: rest === "" ? [] : [rest] };
}

function words(rest: string): Arguments {
  return { args: rest === "" ? [] : splitAtBlanks(rest) };
}

function jsonOrText(rest: string): Arguments {
  return parseJsonWords(rest) ?? text(rest);
}

function jsonOrWords(rest: string): Arguments {
  return parseJsonWords(rest) ?? words(rest);
}

/** HEALTHCHECK: its type, then a command. */
function typedCommand(rest: string): Arguments {
  if (rest === "") return { args: [] };
  let end = 0;
  while (end < rest.length && !isSpace(rest.charAt(end))) end++;
  const { args, json = false } = jsonOrText(trimSpaceStart(rest.slice(end)));
  return { args: [rest.slice(0, end), ...args], json };
}

/** Triggers of triggers are refused later, however many there are: no more than these are looked into. */
const chainedTriggers = /^(?:onbuild[\t\v\f\r ]+){8}/i;

function nested(rest: string, escapeToken: EscapeToken): Arguments {
  if (rest === "") return { args: [] };
  if (chainedTriggers.test(rest)) return { args: ["ONBUILD"] };
  const trigger = splitLine(rest, escapeToken);
  return { args: [trigger.name, ...trigger.args], trigger };
}

/** Triples of key, value and `=`. The old form `KEY value with blanks` is one triple with an empty third part. */
function keyValues(rest: string, instruction: string, escapeToken: EscapeToken): Arguments {
  const pairs = splitQuotedWords(rest, escapeToken);
  const [first] = pairs;
  if (first === undefined) return { args: [] };
  if (!first.includes("=")) {
    const { before, after } = cutAtBlanks(rest);
    if (after === undefined) throw new BuildError(Code.Unknown, `${instruction} must have two arguments`);
    return { args: [before, after, ""] };
  }
  return { args: pairs.flatMap(keyValue) };
}

function keyValue(word: string): string[] {
  const { before, after } = cut(word, "=");
  if (after === undefined) {
    throw new BuildError(
      Code.Unknown,
      `Syntax error - can't find = in ${quote(word)}. Must be of the form: name=value`,
    );
  }
  return [before, after, "="];
}

/** The words of a JSON array, or undefined when the text is none. @throws BuildError for items which are not strings. */
function parseJsonWords(rest: string): Arguments | undefined {
  if (!rest.startsWith("[")) return undefined;
  let items: unknown;
  try {
    items = JSON.parse(rest);
  } catch {
    return undefined;
  }
  if (!Array.isArray(items)) return undefined;
  const args = items.map((item) => {
    if (typeof item === "string") return item.toWellFormed();
    throw new BuildError(Code.Unknown, "when using JSON array syntax, arrays must be comprised of strings only");
  });
  return { args, json: true };
}
