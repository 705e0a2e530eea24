import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type DaemonFlag, daemonFlags } from "./daemon-flags.ts";

/** Part of a buildkitd.toml document. */
export interface TomlTable {
  [key: string]: unknown;
}

export interface ParsedFlags {
  /** Print help or the version and end. */
  readonly action: "run" | "help" | "version";
  /** `--config`; undefined = the default file, when there is one. */
  readonly configFile?: string;
  /** What the flags say, in the form of the configuration file: it takes precedence over the file. */
  readonly overrides: TomlTable;
  /** Flags that were accepted without effect, and why. */
  readonly warnings: readonly string[];
}

/**
 * Reads the command line of `buildkitd` (cmd/buildkitd/main.go, main_oci_worker.go): `-flag` and `--flag` mean the same, a
 * value follows after `=` or as the next argument, except for switches, which take one after `=` only. Two flags have an
 * environment variable that stands in for them.
 * @throws BuildError InvalidArgument for unknown flags and bad values, Unimplemented for flags that ask for something not offered
 */
export function parseFlags(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): ParsedFlags {
  const overrides: TomlTable = {};
  const warnings: string[] = [];
  let configFile: string | undefined;
  let action: ParsedFlags["action"] = "run";
  const given = new Set<string>();

  const apply = (name: string, flag: DaemonFlag, value: string): void => {
    if (flag.only !== undefined && !flag.only.includes(value)) throw notOffered(name, value);
    if (flag.ignored !== undefined) warnings.push(`--${name} has no effect: ${flag.ignored}`);
    if (flag.key === undefined) return;
    const parsed = flagValue(name, flag, value);
    setKey(overrides, flag.key, flag.many === true ? [parsed] : parsed);
    given.add(name);
  };

  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const match = /^--?([A-Za-z][^=]*)(?:=(.*))?$/s.exec(arg);
    if (match === null) throw invalid(`unexpected argument ${JSON.stringify(arg)}`);
    const name = match[1] ?? "";
    let value = match[2];
    if (name === "help" || name === "h") action = "help";
    else if (name === "version" || name === "v") action = "version";
    else {
      const flag = daemonFlags[name];
      if (flag === undefined) throw invalid(`flag provided but not defined: -${name}`);
      if (value === undefined) {
        if (flag.kind === "switch") value = "true";
        else {
          at++;
          value = args[at];
          if (value === undefined) throw invalid(`flag needs an argument: -${name}`);
        }
      }
      if (name === "config") configFile = value;
      else apply(name, flag, value);
    }
  }
  for (const [name, flag] of Object.entries(daemonFlags)) {
    const value = flag.env === undefined ? undefined : env[flag.env];
    if (value !== undefined && value !== "" && !given.has(name)) apply(name, flag, value);
  }
  return { action, ...(configFile === undefined ? {} : { configFile }), overrides, warnings };
}

function flagValue(name: string, flag: DaemonFlag, value: string): unknown {
  switch (flag.kind) {
    case "switch":
      if (["1", "t", "true", "T", "TRUE", "True"].includes(value)) return flag.inverted !== true;
      if (["0", "f", "false", "F", "FALSE", "False"].includes(value)) return flag.inverted === true;
      throw invalid(`invalid value ${JSON.stringify(value)} for flag -${name}: parse error`);
    case "number": {
      if (value === "num-cpu") return "num-cpu";
      if (!/^-?\d+$/.test(value))
        throw invalid(`invalid value ${JSON.stringify(value)} for flag -${name}: parse error`);
      return Number(value);
    }
    case "labels": {
      const split = value.indexOf("=");
      if (split < 0) throw invalid(`malformed flag value ${JSON.stringify(value)} for -${name}: expected key=value`);
      return { [value.slice(0, split)]: value.slice(split + 1) };
    }
    case "text":
      return value;
  }
}

/** Puts a value under a key of inner tables. What is there already is added to, when it is a list or a table. */
function setKey(table: TomlTable, key: readonly string[], value: unknown): void {
  let inner = table;
  for (const part of key.slice(0, -1)) {
    const next = (inner[part] ?? {}) as TomlTable;
    inner[part] = next;
    inner = next;
  }
  const last = key.at(-1) ?? "";
  const before = inner[last];
  if (Array.isArray(value) && Array.isArray(before)) inner[last] = [...before, ...value];
  else if (isTable(value) && isTable(before)) inner[last] = { ...before, ...value };
  else inner[last] = value;
}

/** Lays one document over another: tables are joined key by key, everything else is replaced. */
export function overlay(base: TomlTable, over: TomlTable): TomlTable {
  const joined: TomlTable = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = joined[key];
    joined[key] = isTable(value) && isTable(below) ? overlay(below, value) : value;
  }
  return joined;
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, message);
}

function notOffered(name: string, value: string): BuildError {
  return new BuildError(Code.Unimplemented, `--${name}=${value} is not supported`);
}
