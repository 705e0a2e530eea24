import { UsageError } from "../usage-error.ts";
import { GoEnum, GoObject, type GoValue, isEmpty } from "./go-value.ts";

export const formatHelp = "Go template, e.g. '{{json .}}'";

/** Renders one value. @throws UsageError for fields that it does not have, and values that have no text */
export type Template = (value: GoValue) => string;

type Expression = (dot: GoValue, root: GoValue) => GoValue;
type Node = (dot: GoValue, root: GoValue) => string;

/**
 * A template as Go's text/template takes it, for `--format`: text, fields (`{{.ID}}`, `{{.Record.Ref}}`, `{{$.X}}`), `json`,
 * `len`, `range`, `if`, `with`, `else`, `end`, strings, pipes (`{{.X | json}}`), trimming (`{{-`), comments. `json` alone is
 * `{{json .}}`.
 * @throws UsageError for everything else
 */
export function parseTemplate(text: string): Template {
  const parser = new Parser(tokens(text === "json" ? "{{json .}}" : text));
  const node = parser.block([]);
  return (value) => node(value, value);
}

interface Token {
  readonly text: string;
  readonly action: boolean;
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let rest = text;
  for (;;) {
    const at = rest.indexOf("{{");
    if (at < 0) break;
    const match = /^\{\{(- )?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|\/\*[\s\S]*?\*\/|[^"`}]|\}(?!\}))*?)( -)?\}\}/.exec(
      rest.slice(at),
    );
    if (match === null) throw refused("an action is not closed with }}");
    const [whole, trimBefore, action = "", trimAfter] = match;
    const before = rest.slice(0, at);
    found.push({ text: trimBefore === undefined ? before : before.trimEnd(), action: false });
    if (!/^\s*\/\*[\s\S]*\*\/\s*$/.test(action)) found.push({ text: action.trim(), action: true });
    rest = rest.slice(at + whole.length);
    if (trimAfter !== undefined) rest = rest.trimStart();
  }
  return [...found, { text: rest, action: false }];
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** Everything up to one of these words, which is the next token then; to the end if there are none. */
  block(until: readonly string[]): Node {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined) {
        if (until.length > 0) throw refused("an {{end}} is missing");
        return (dot, root) => nodes.map((node) => node(dot, root)).join("");
      }
      if (token.action && until.some((word) => isWord(token.text, word)))
        return (dot, root) => nodes.map((node) => node(dot, root)).join("");
      this.#at++;
      nodes.push(token.action ? this.#action(token.text) : () => token.text);
    }
  }

  #action(text: string): Node {
    const [, word = "", rest = ""] = /^(range|if|with)\s+(.*)$/s.exec(text) ?? [];
    if (word === "") {
      if (isWord(text, "end") || isWord(text, "else")) throw refused(`{{${text}}} belongs to nothing`);
      const value = expression(text);
      return (dot, root) => shown(value(dot, root));
    }
    return this.#control(word, expression(rest));
  }

  #control(word: string, value: Expression): Node {
    const body = this.block(["else", "end"]);
    const other = this.#else();
    if (word === "if") return (dot, root) => (isEmpty(value(dot, root)) ? other(dot, root) : body(dot, root));
    return (dot, root) => {
      const found = value(dot, root);
      if (isEmpty(found)) return other(dot, root);
      return word === "with"
        ? body(found, root)
        : items(found)
            .map((item) => body(item, root))
            .join("");
    };
  }

  /** What follows the body of a control word, to its `end`. */
  #else(): Node {
    const { text = "" } = this.#tokens[this.#at++] ?? {};
    if (isWord(text, "end")) return () => "";
    const [, word = "", rest = ""] = /^else\s+(if|with)\s+(.*)$/s.exec(text) ?? [];
    // `else if` shares the `end` of what it belongs to.
    if (word !== "") return this.#control(word, expression(rest));
    if (text !== "else") throw refused(`{{${text}}}`);
    const other = this.block(["end"]);
    this.#at++;
    return other;
  }
}

function isWord(text: string, word: string): boolean {
  return text === word || text.startsWith(`${word} `);
}

/** Commands with pipes between them: each takes the result of the one before as its last argument. */
function expression(text: string): Expression {
  if (/[()]/.test(text.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, ""))) throw refused("an expression in parentheses");
  const commands = pieces(text, "|").map((command) => pieces(command, " ").filter((word) => word !== ""));
  for (const [name = ""] of commands) if (/^[a-z]\w*$/.test(name) && !functions.has(name)) throw unknownFunction(name);
  const [first = [], ...others] = commands;
  return others.reduce<Expression>(
    (value, [name = "", ...args]) => call(name, [...args.map(operand), value]),
    first.length === 1 && !functions.has(first[0] ?? "")
      ? operand(first[0] ?? "")
      : call(first[0] ?? "", first.slice(1).map(operand)),
  );
}

/** Splits at a character that is not inside of quotes. */
function pieces(text: string, at: string): string[] {
  const found = [""];
  for (const [part] of text.matchAll(/"(?:[^"\\]|\\.)*"|`[^`]*`|[\s\S]/g)) {
    if (part === at) found.push("");
    else found[found.length - 1] += part;
  }
  return found.map((piece) => piece.trim());
}

const functions: ReadonlyMap<string, (value: GoValue) => GoValue> = new Map<string, (value: GoValue) => GoValue>([
  ["json", (value) => JSON.stringify(value)],
  ["len", (value) => (typeof value === "string" ? Buffer.byteLength(value) : items(value).length)],
  ["not", (value) => isEmpty(value)],
]);

function call(name: string, args: readonly Expression[]): Expression {
  const run = functions.get(name);
  const [argument] = args;
  if (run === undefined) throw unknownFunction(name);
  if (argument === undefined || args.length > 1) throw refused(`${name} with ${args.length} arguments`);
  return (dot, root) => run(argument(dot, root));
}

function operand(text: string): Expression {
  if (/^".*"$/s.test(text)) return () => JSON.parse(text) as string;
  if (/^`[^`]*`$/.test(text)) return () => text.slice(1, -1);
  const match = /^(\$?)((?:\.\w+)*)(\.?)$/.exec(text);
  if (match === null || text === "" || (match[3] === "." && text !== ".")) throw refused(JSON.stringify(text));
  const names = (match[2] ?? "").split(".").slice(1);
  return (dot, root) => names.reduce(field, match[1] === "$" ? root : dot);
}

function field(value: GoValue, name: string): GoValue {
  if (value === null) throw new UsageError(`template: there is no field ${name} in nothing`);
  const found = value instanceof GoObject ? value.fields.get(name) : undefined;
  if (found === undefined) throw new UsageError(`template: there is no field ${JSON.stringify(name)}`);
  return found;
}

function items(value: GoValue): readonly GoValue[] {
  if (Array.isArray(value)) return value;
  if (value instanceof GoObject) return [...value.fields.values()];
  if (value === null) return [];
  throw new UsageError("template: a single value has no items");
}

function shown(value: GoValue): string {
  if (value === null) return "<nil>";
  if (value instanceof GoEnum) return value.name;
  if (typeof value === "object")
    throw new UsageError("template: lists and structures are shown with json: {{json .X}}");
  return String(value);
}

function unknownFunction(name: string): UsageError {
  return refused(`function ${JSON.stringify(name)}`);
}

function refused(what: string): UsageError {
  return new UsageError(
    `template: ${what} is not supported: expected fields, json, len, not, range, if, with, else, end`,
  );
}
