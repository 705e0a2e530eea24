import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { withSuggestion } from "../suggest.ts";
import { cut } from "../text.ts";

/** `boolean`: `--x` or `--x=true`; `string`: `--x=value`; `list`: as string, may be repeated. */
export type FlagKind = "boolean" | "string" | "list";

/** Values of an instruction's flags. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** Names of the given flags, in order of first use. */
  get used(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** Value of a string flag. */
  string(name: string, fallback = ""): string {
    return this.#values.get(name)?.[0] ?? fallback;
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** Value of a boolean flag, undefined when it is not given. */
  boolean(name: string): boolean | undefined {
    const value = this.#values.get(name)?.[0];
    return value === undefined ? undefined : value === "true";
  }
}

/**
 * Checks the `--flag` words of an instruction against the flags it knows (BuildKit
 * frontend/dockerfile/instructions/bflag.go). @throws BuildError
 */
export function parseFlags(words: readonly string[], known: Readonly<Record<string, FlagKind>> = {}): Flags {
  const values = new Map<string, string[]>();
  for (const word of words) {
    const { before: shown, after: value } = cut(word, "=");
    const name = shown.slice("--".length);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw fault(withSuggestion(`unknown flag: ${shown}`, name, Object.keys(known)));
    const given = values.get(name);
    if (given && kind !== "list") throw fault(`duplicate flag specified: ${shown}`);
    const parsed = kind === "boolean" ? parseBoolean(shown, value) : value;
    if (parsed === undefined) throw fault(`missing a value on flag: ${shown}`);
    if (given) given.push(parsed);
    else values.set(name, [parsed]);
  }
  return new Flags(values);
}

function parseBoolean(shown: string, value: string | undefined): string | undefined {
  if (value === "") return undefined;
  const lower = (value ?? "true").toLowerCase();
  if (lower === "true" || lower === "false") return lower;
  throw fault(`expecting boolean value for flag ${shown}, not: ${value}`);
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
