import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { lineRanges, replaceLocation } from "../dockerfile-error.ts";
import { type Command, parseCommand } from "../instructions/index.ts";
import { parseDockerfile } from "../parser/index.ts";
import { emptyEnv, type WordLexer } from "../shell/index.ts";
import { BuildStage, type StageCommand, type StageList } from "./build-stage.ts";
import { checkCircularDependencies } from "./checks.ts";

/** Links every instruction to the stages it reads from. @throws BuildError, also for circles */
export function linkStages(stages: StageList, lexer: WordLexer): void {
  // The list grows by images named in --from.
  for (const stage of stages.all) {
    stage.commands = stage.definition.commands.map((command) => link(stage, command, stages, lexer, false));
  }
  checkCircularDependencies(stages.all);
  const [only, ...others] = stages.all;
  if (only !== undefined && others.length === 0) only.name = "";
}

/**
 * Puts ONBUILD triggers before a stage's own instructions.
 *
 * @returns true when they read from other stages
 */
export function addTriggers(
  stage: BuildStage,
  triggers: readonly string[],
  stages: StageList,
  lexer: WordLexer,
): boolean {
  const { location } = stage.definition;
  try {
    const commands = triggers.map((trigger) => link(stage, parseTrigger(trigger, stage), stages, lexer, true));
    stage.commands.unshift(...commands);
    stage.stepTotal += commands.length;
    return commands.some(({ sources }) => sources.length > 0);
  } catch (error) {
    throw replaceLocation(error, location);
  }
}

/** A number that has no place in 64 bits is a name (Go's strconv.Atoi). */
function isStageIndex(text: string): boolean {
  if (!/^[+-]?\d+$/.test(text)) return false;
  const index = BigInt(text.replace("+", ""));
  return BigInt.asIntN(64, index) === index;
}

function parseTrigger(trigger: string, stage: BuildStage): Command {
  const [node, ...others] = parseDockerfile(new TextEncoder().encode(trigger)).instructions;
  if (node === undefined || others.length > 0) {
    throw new BuildError(Code.Unknown, "onbuild trigger should be a single expression");
  }
  // A trigger is run where FROM is.
  const lines = stage.definition.location.flatMap(({ start, end }) => [start?.line ?? 0, end?.line ?? 0]);
  const startLine = lines.length === 0 ? 0 : Math.min(...lines);
  const endLine = lines.length === 0 ? 0 : Math.max(...lines);
  return parseCommand({ ...node, startLine, endLine, location: lineRanges(startLine, endLine) });
}

function link(
  stage: BuildStage,
  command: Command,
  stages: StageList,
  lexer: WordLexer,
  isOnBuild: boolean,
): StageCommand {
  const sources = sourcesOf(command, stages, lexer);
  for (const source of sources) {
    stage.deps.set(source, command);
    if (source.unregistered) stages.add(source);
  }
  return { command, sources, isOnBuild };
}

function sourcesOf(command: Command, stages: StageList, lexer: WordLexer): readonly BuildStage[] {
  if (command.kind === "run") {
    return command.mounts.map(
      ({ from }) => stages.byName(from || "scratch") ?? BuildStage.ofImage(from || "scratch", []),
    );
  }
  if (command.kind !== "copy" || command.from === "") return [];
  const { from } = command;
  if (lexer.processWord(from, emptyEnv).result !== from) {
    throw new BuildError(
      Code.Unknown,
      "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
    );
  }
  if (isStageIndex(from)) return [stages.byIndex(Number(from))];
  return [stages.byName(from) ?? BuildStage.ofImage(from, command.location)];
}
