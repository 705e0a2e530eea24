import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { InstructionNode } from "../parser/ast.ts";
import { quote } from "../text.ts";
import { commandLine } from "./command-line.ts";
import { parseDuration } from "./duration.ts";
import { type Flags, parseFlags } from "./flags.ts";
import type { Healthcheck } from "./types.ts";

const minimumNanos = 1_000_000n;

const inherited: Healthcheck = {
  test: [],
  intervalNanos: 0,
  timeoutNanos: 0,
  startPeriodNanos: 0,
  startIntervalNanos: 0,
  retries: 0,
};

/** Reads HEALTHCHECK (BuildKit frontend/dockerfile/instructions/parse.go, parseHealthcheck). @throws BuildError */
export function parseHealthcheck(node: InstructionNode): Healthcheck {
  const [first, ...args] = node.args;
  if (first === undefined) throw fault("HEALTHCHECK requires at least one argument");
  const type = first.toUpperCase();
  if (type === "NONE") {
    if (args.length > 0) throw fault("HEALTHCHECK NONE takes no arguments");
    return { ...inherited, test: [type] };
  }
  const flags = parseFlags(node.flags, {
    interval: "string",
    timeout: "string",
    "start-period": "string",
    "start-interval": "string",
    retries: "string",
  });
  if (type !== "CMD") throw fault(`Unknown type ${quote(type)} in HEALTHCHECK (try CMD)`);
  const command = commandLine(args, node.json);
  if (command.length === 0) throw fault("Missing command after HEALTHCHECK CMD");
  return {
    test: [node.json ? "CMD" : "CMD-SHELL", ...command],
    intervalNanos: interval(flags, "interval"),
    timeoutNanos: interval(flags, "timeout"),
    startPeriodNanos: interval(flags, "start-period"),
    startIntervalNanos: interval(flags, "start-interval"),
    retries: retries(flags.string("retries")),
  };
}

function interval(flags: Flags, name: string): number {
  const value = flags.string(name);
  if (value === "") return 0;
  const nanos = parseDuration(value);
  if (nanos !== 0n && nanos < minimumNanos) throw fault(`Interval ${quote(name)} cannot be less than 1ms`);
  return Number(nanos);
}

function retries(value: string): number {
  if (value === "") return 0;
  const problem = (what: string) => fault(`strconv.ParseInt: parsing ${quote(value)}: ${what}`);
  if (!/^[+-]?\d+$/.test(value)) throw problem("invalid syntax");
  const count = Number(value);
  if (count > 0x7fffffff || count < -0x80000000) throw problem("value out of range");
  if (count < 0) throw fault(`--retries cannot be negative (${count})`);
  return count;
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
