import { availableParallelism } from "node:os";
import type { StandaloneFlags } from "../../config/index.ts";
import { UsageError } from "../usage-error.ts";
import { type DaemonFlag, daemonFlags } from "./daemon-flags.ts";

export interface ParsedFlags {
  /** Print help or the version and end. */
  readonly action: "run" | "help" | "version";
  readonly flags: StandaloneFlags;
  /** Flags that were accepted without effect, and why. */
  readonly warnings: readonly string[];
}

const trueTexts = ["1", "t", "true", "T", "TRUE", "True"];
const falseTexts = ["0", "f", "false", "F", "FALSE", "False"];

/**
 * Reads the command line of `buildkitd` (cmd/buildkitd/main.go, main_oci_worker.go): `-flag` and `--flag` mean the same, a
 * value follows after `=` or as the next argument, except for switches, which take one after `=` only.
 * @throws UsageError for flags that are unknown, badly used, or ask for something not offered
 */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const flags: Record<string, unknown> = {};
  const warnings: string[] = [];
  let action: ParsedFlags["action"] = "run";
  const rest = args.values();
  for (const arg of rest) {
    const [, name = "", attached] = /^--?([A-Za-z][^=]*)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === "") throw new UsageError(`unexpected argument ${JSON.stringify(arg)}`);
    if (name === "help" || name === "h") action = "help";
    else if (name === "version" || name === "v") action = "version";
    else {
      const flag = Object.hasOwn(daemonFlags, name) ? daemonFlags[name] : undefined;
      if (flag === undefined) throw new UsageError(`flag provided but not defined: -${name}`);
      const text = attached ?? (flag.kind === "switch" ? "true" : rest.next().value);
      if (text === undefined) throw new UsageError(`flag needs an argument: -${name}`);
      const value = parseValue(name, flag, text);
      if (flag.ignored !== undefined) warnings.push(`--${name} has no effect: ${flag.ignored}`);
      if (flag.means === undefined || text === "") continue;
      flags[flag.means] = flag.many ? [...((flags[flag.means] as unknown[] | undefined) ?? []), value] : value;
    }
  }
  return { action, flags, warnings };
}

function parseValue(name: string, flag: DaemonFlag, text: string): boolean | number | string {
  if (flag.only !== undefined && !flag.only.includes(text)) {
    throw new UsageError(`--${name}=${text} is not supported`);
  }
  if (flag.kind === "switch" && trueTexts.includes(text)) return true;
  if (flag.kind === "switch" && falseTexts.includes(text)) return false;
  if (flag.kind === "number" && /^\d+$/.test(text)) return Number(text);
  // Of --oci-max-parallelism.
  if (flag.kind === "number" && text === "num-cpu") return availableParallelism();
  if (flag.kind === "text") return text;
  throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: parse error`);
}
