import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { withLocation } from "../dockerfile-error.ts";
import type { Linter } from "../lint/linter.ts";
import { lintRules } from "../lint/rules.ts";
import type { InstructionNode } from "../parser/ast.ts";
import { chompHeredoc, tryParseHeredoc } from "../parser/heredoc.ts";
import { withSuggestion } from "../suggest.ts";
import { cut, quote, trimSpace } from "../text.ts";
import { commandLine } from "./command-line.ts";
import { parseDevice } from "./device.ts";
import { type FlagKind, parseFlags } from "./flags.ts";
import { parseHealthcheck } from "./healthcheck.ts";
import { parseMountFrom } from "./mount.ts";
import type {
  AddCommand,
  ArgCommand,
  ArgPair,
  Command,
  CopyCommand,
  InstructionBase,
  KeyValue,
  NetworkMode,
  OnbuildCommand,
  RunCommand,
  SecurityMode,
  ShellCommand,
  ShellDependentCommandLine,
  SourcesAndDest,
  Stage,
  VolumeCommand,
} from "./types.ts";

type Parser = (node: InstructionNode, lint: Linter | undefined) => Command | Stage;

/**
 * One instruction with its arguments checked; FROM gives a stage without commands (BuildKit
 * frontend/dockerfile/instructions/parse.go). @throws DockerfileError
 */
export function parseInstruction(node: InstructionNode, lint?: Linter): Command | Stage {
  try {
    const parse = parsers.get(node.name.toLowerCase());
    if (parse) return parse(node, lint?.withComments(node.comments));
    const names = [...parsers.keys()].map((name) => name.toUpperCase());
    throw fault(withSuggestion(`unknown instruction: ${node.name}`, node.name, names, { caseSensitive: false }));
  } catch (error) {
    throw withLocation(error, node.location);
  }
}

/** As `parseInstruction`, for the places where FROM cannot stand, such as ONBUILD triggers. @throws DockerfileError */
export function parseCommand(node: InstructionNode): Command {
  const parsed = parseInstruction(node);
  if (parsed.kind !== "from") return parsed;
  throw withLocation(fault("*instructions.Stage is not a command type"), node.location);
}

const parsers = new Map<string, Parser>([
  ["add", parseAdd],
  ["arg", parseArg],
  [
    "cmd",
    (node) => {
      parseFlags(node.flags);
      return { kind: "cmd", ...base(node), ...shellDependent(node) };
    },
  ],
  ["copy", parseCopy],
  [
    "entrypoint",
    (node) => {
      parseFlags(node.flags);
      return { kind: "entrypoint", ...base(node), ...shellDependent(node) };
    },
  ],
  ["env", (node) => ({ kind: "env", ...base(node), env: keyValues(node, "ENV") })],
  [
    "expose",
    (node) => {
      if (node.args.length === 0) throw needsArgument("EXPOSE");
      parseFlags(node.flags);
      return { kind: "expose", ...base(node), ports: node.args.toSorted(byBytes) };
    },
  ],
  ["from", parseFrom],
  ["healthcheck", (node) => ({ kind: "healthcheck", ...base(node), health: parseHealthcheck(node) })],
  ["label", (node) => ({ kind: "label", ...base(node), labels: keyValues(node, "LABEL"), noExpand: false })],
  [
    "maintainer",
    (node, lint) => {
      lint?.run(lintRules.maintainerDeprecated, node.location);
      const maintainer = onlyArgument(node, "MAINTAINER");
      parseFlags(node.flags);
      return { kind: "maintainer", ...base(node), maintainer };
    },
  ],
  ["onbuild", parseOnbuild],
  ["run", parseRun],
  ["shell", parseShell],
  ["stopsignal", (node) => ({ kind: "stopsignal", ...base(node), signal: onlyArgument(node, "STOPSIGNAL") })],
  [
    "user",
    (node) => {
      const user = onlyArgument(node, "USER");
      parseFlags(node.flags);
      return { kind: "user", ...base(node), user };
    },
  ],
  ["volume", parseVolume],
  [
    "workdir",
    (node) => {
      const path = onlyArgument(node, "WORKDIR");
      parseFlags(node.flags);
      return { kind: "workdir", ...base(node), path };
    },
  ],
]);

function base({ name, original, location, comments }: InstructionNode): InstructionBase {
  return { name, code: trimSpace(original), location, comments };
}

function keyValues({ flags, args }: InstructionNode, instruction: string): KeyValue[] {
  parseFlags(flags);
  if (args.length === 0) throw needsArgument(instruction);
  const pairs: KeyValue[] = [];
  for (let i = 0; i < args.length; i += 3) {
    const [key = "", value = "", delimiter = ""] = args.slice(i, i + 3);
    if (key === "") throw fault(`${instruction} names can not be blank`);
    pairs.push({ key, value, noDelimiter: delimiter === "" });
  }
  return pairs;
}

function shellDependent({ args, json, heredocs }: InstructionNode): ShellDependentCommandLine {
  return {
    commandLine: commandLine(args, json),
    files: heredocs.map(({ name, content, chomp }) => ({ name, data: content, chomp })),
    prependShell: !json,
  };
}

const addFlags: Record<string, FlagKind> = {
  chown: "string",
  chmod: "string",
  link: "boolean",
  "keep-git-dir": "boolean",
  checksum: "string",
  unpack: "boolean",
  exclude: "list",
};

function parseAdd(node: InstructionNode): AddCommand {
  checkDestination(node, "ADD");
  const flags = parseFlags(node.flags, addFlags);
  const keepGitDir = flags.boolean("keep-git-dir");
  const unpack = flags.boolean("unpack");
  return {
    kind: "add",
    ...base(node),
    ...sourcesAndDest(node, "ADD"),
    chown: flags.string("chown"),
    chmod: flags.string("chmod"),
    link: flags.boolean("link") ?? false,
    excludePatterns: flags.list("exclude"),
    checksum: flags.string("checksum"),
    ...(keepGitDir !== undefined && { keepGitDir }),
    ...(unpack !== undefined && { unpack }),
  };
}

const copyFlags: Record<string, FlagKind> = {
  chown: "string",
  from: "string",
  chmod: "string",
  link: "boolean",
  exclude: "list",
  parents: "boolean",
};

function parseCopy(node: InstructionNode): CopyCommand {
  checkDestination(node, "COPY");
  const flags = parseFlags(node.flags, copyFlags);
  return {
    kind: "copy",
    ...base(node),
    ...sourcesAndDest(node, "COPY"),
    from: flags.string("from"),
    chown: flags.string("chown"),
    chmod: flags.string("chmod"),
    link: flags.boolean("link") ?? false,
    excludePatterns: flags.list("exclude"),
    parents: flags.boolean("parents") ?? false,
  };
}

function checkDestination({ args }: InstructionNode, instruction: string): void {
  if (args.length >= 2) return;
  throw fault(
    `${instruction} requires at least two arguments, but only one was provided. Destination could not be determined`,
  );
}

function sourcesAndDest({ args, heredocs }: InstructionNode, instruction: string): SourcesAndDest {
  const destPath = args.at(-1) ?? "";
  if (tryParseHeredoc(destPath)) throw fault(`${instruction} cannot accept a heredoc as a destination`);
  const bodies = new Map(heredocs.map((heredoc) => [heredoc.name, heredoc.content]));
  const sourcePaths: string[] = [];
  const sourceContents = [];
  for (const source of args.slice(0, -1)) {
    const heredoc = tryParseHeredoc(source);
    if (!heredoc) {
      sourcePaths.push(source);
      continue;
    }
    const body = bodies.get(heredoc.name) ?? "";
    const data = heredoc.chomp ? chompHeredoc(body) : body;
    sourceContents.push({ path: heredoc.name, data, expand: heredoc.expand });
  }
  return { destPath, sourcePaths, sourceContents };
}

function parseArg(node: InstructionNode, lint: Linter | undefined): ArgCommand {
  if (node.args.length === 0) throw needsArgument("ARG");
  const args = node.args.map((arg): ArgPair => {
    const { before: key, after: value } = cut(arg, "=");
    if (key === "" && value !== undefined) throw fault("ARG names can not be blank");
    const docComment = describe(node.comments, key);
    return value === undefined ? { key, docComment } : { key, value, docComment };
  });
  const keys = args.map(({ key }) => key);
  checkDescription(node, "ARG", keys, lint);
  return { kind: "arg", ...base(node), args };
}

const stageName = /^[a-z][a-z0-9-_.]*$/;

function parseFrom(node: InstructionNode, lint: Linter | undefined): Stage {
  const [baseName = "", as, givenName] = node.args;
  if (node.args.length === 3 && givenName !== undefined && givenName !== givenName.toLowerCase()) {
    lint?.run(lintRules.stageNameCasing, node.location, givenName);
  }
  if (as !== undefined && givenName !== undefined && !sameCasing(node.name, as)) {
    lint?.run(lintRules.fromAsCasing, node.location, node.name, as);
  }
  let name = "";
  if (node.args.length === 3 && givenName !== undefined && as?.toLowerCase() === "as") {
    name = givenName.toLowerCase();
    if (!stageName.test(name)) {
      throw fault(
        `invalid name for build stage: ${quote(givenName)}, name can't start with a number or contain symbols`,
      );
    }
  } else if (node.args.length !== 1) {
    throw fault("FROM requires either one or three arguments");
  }
  const flags = parseFlags(node.flags, { platform: "string" });
  if (name !== "") checkDescription(node, "FROM", [name], lint);
  const { code, location, comments } = base(node);
  return {
    kind: "from",
    name,
    commands: [],
    instruction: node.name,
    baseName,
    platform: flags.string("platform"),
    docComment: describe(comments, name),
    code,
    location,
    comments,
  };
}

/** FROM in mixed case is another rule's matter. */
function sameCasing(from: string, as: string): boolean {
  if (from === from.toLowerCase()) return as === as.toLowerCase();
  return from !== from.toUpperCase() || as === as.toUpperCase();
}

function parseOnbuild(node: InstructionNode): OnbuildCommand {
  const [first] = node.args;
  if (first === undefined) throw needsArgument("ONBUILD");
  parseFlags(node.flags);
  const trigger = trimSpace(first).toUpperCase();
  if (trigger === "ONBUILD") throw fault("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM") throw fault(`${trigger} isn't allowed as an ONBUILD trigger`);
  const line = node.original.replace(/^[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*/i, "");
  const bodies = node.heredocs.map(({ name, content }) => `\n${content}${name}`);
  return { kind: "onbuild", ...base(node), expression: line + bodies.join("") };
}

function parseRun(node: InstructionNode): RunCommand {
  const flags = parseFlags(node.flags, {
    mount: "list",
    network: "string",
    security: "string",
    device: "list",
  });
  const mountFlags = flags.list("mount");
  // In BuildKit's order, which decides which of several errors is shown.
  const devices = flags.list("device").map(parseDevice);
  const mounts = mountFlags.map(parseMountFrom);
  const network = flags.string("network", "default");
  if (!isNetworkMode(network)) throw fault(`invalid network mode ${quote(network)}`);
  const security = flags.string("security", "sandbox");
  if (!isSecurityMode(security)) throw fault(`security ${quote(security)} is not valid`);
  return {
    kind: "run",
    ...base(node),
    ...shellDependent(node),
    flagsUsed: flags.used,
    mountFlags,
    mounts,
    devices,
    network,
    security,
  };
}

function isNetworkMode(value: string): value is NetworkMode {
  return value === "default" || value === "none" || value === "host";
}

function isSecurityMode(value: string): value is SecurityMode {
  return value === "sandbox" || value === "insecure";
}

function parseShell(node: InstructionNode): ShellCommand {
  parseFlags(node.flags);
  const shell = commandLine(node.args, node.json);
  if (shell.length === 0) throw needsArgument("SHELL");
  if (!node.json) throw fault(`SHELL requires the arguments to be in JSON form`);
  return { kind: "shell", ...base(node), shell };
}

function parseVolume(node: InstructionNode): VolumeCommand {
  if (node.args.length === 0) throw needsArgument("VOLUME");
  parseFlags(node.flags);
  const volumes = node.args.map(trimSpace);
  if (volumes.includes("")) throw fault("VOLUME specified can not be an empty string");
  return { kind: "volume", ...base(node), volumes };
}

function onlyArgument({ args }: InstructionNode, instruction: string): string {
  const [argument] = args;
  if (argument === undefined || args.length !== 1) throw fault(`${instruction} requires exactly one argument`);
  return argument;
}

/** Text of the comment line `name text`. */
function describe(comments: readonly string[], name: string): string {
  if (name === "") return "";
  const line = comments.find((comment) => comment.startsWith(`${name} `));
  return line?.slice(name.length + 1) ?? "";
}

function checkDescription(
  { comments, location }: InstructionNode,
  instruction: string,
  names: readonly string[],
  lint: Linter | undefined,
): void {
  const last = comments.at(-1);
  const [first] = names;
  if (last === undefined || first === undefined || names.includes(cut(last, " ").before)) return;
  const example = names.length > 1 ? "<arg_key>" : first;
  lint?.run(lintRules.invalidDefinitionDescription, location, instruction, example);
}

/** Order of UTF-8 bytes, as Go sorts strings. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function needsArgument(instruction: string): BuildError {
  return fault(`${instruction} requires at least one argument`);
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
