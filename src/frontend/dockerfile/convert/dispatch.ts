import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { joinPath } from "../../../llb/builder/index.ts";
import { type CopyCommand, expand, expandRaw } from "../instructions/index.ts";
import { WordLexer } from "../shell/index.ts";
import type { BuildStage, StageCommand } from "./build-stage.ts";
import { expandChecked } from "./checks.ts";
import type { DispatchContext } from "./dispatch-context.ts";
import { type CopySource, dispatchCopy } from "./dispatch-copy.ts";
import {
  dispatchArg,
  dispatchCmd,
  dispatchEntrypoint,
  dispatchEnv,
  dispatchExpose,
  dispatchHealthcheck,
  dispatchLabel,
  dispatchStopsignal,
  dispatchUser,
  dispatchVolume,
  dispatchWorkdir,
} from "./dispatch-metadata.ts";
import { dispatchRun } from "./dispatch-run.ts";
import { addHistory } from "./history.ts";

/** Applies one instruction to its stage. @throws BuildError */
export function dispatch(stage: BuildStage, entry: StageCommand, outer: DispatchContext): void {
  const context: DispatchContext = { ...outer, lint: outer.lint.withComments(entry.command.comments) };
  stage.stepIsOnBuild = entry.isOnBuild;
  const command = expandWords(stage, entry, context);
  const { epoch } = context;
  switch (command.kind) {
    case "maintainer":
      stage.image.author = command.maintainer;
      addHistory(stage, `MAINTAINER ${command.maintainer}`, epoch);
      break;
    case "env":
      dispatchEnv(stage, command, context);
      break;
    case "run":
      dispatchRun(stage, command, entry.sources, context);
      break;
    case "workdir":
      dispatchWorkdir(stage, command, context);
      break;
    case "add": {
      const { buildContext: state, ignoreMatcher } = context;
      dispatchCopy(stage, command, { state, ignoreMatcher }, context);
      const local = command.sourcePaths.filter((path) => !/^https?:\/\//.test(path));
      addPaths(stage.contextPaths, local);
      break;
    }
    case "copy": {
      const [source] = entry.sources;
      dispatchCopy(stage, command, copySource(stage, command, source, context), context);
      addPaths(source?.paths ?? stage.contextPaths, command.sourcePaths);
      break;
    }
    case "label":
      dispatchLabel(stage, command, context);
      break;
    case "onbuild":
      stage.image.config.onBuild.push(command.expression);
      break;
    case "cmd":
      dispatchCmd(stage, command, context);
      break;
    case "entrypoint":
      dispatchEntrypoint(stage, command, context);
      break;
    case "healthcheck":
      dispatchHealthcheck(stage, command, context);
      break;
    case "expose":
      dispatchExpose(stage, command, context);
      break;
    case "user":
      dispatchUser(stage, command.user);
      addHistory(stage, `USER ${command.user}`, epoch);
      break;
    case "volume":
      dispatchVolume(stage, command, context);
      break;
    case "stopsignal":
      dispatchStopsignal(stage, command, context);
      break;
    case "shell":
      stage.image.config.shell = command.shell;
      addHistory(stage, `SHELL [${command.shell.join(" ")}]`, epoch);
      break;
    case "arg":
      dispatchArg(stage, command, context);
      break;
  }
}

/** ARG expands its own defaults: one that is overridden may be malformed. */
function expandWords(stage: BuildStage, { command }: StageCommand, context: DispatchContext) {
  const expander = (lexer: WordLexer) => (word: string) =>
    expandChecked(word, { lexer, stage, location: command.location, lint: context.lint });
  const expanded = command.kind === "arg" ? command : expand(command, expander(context.lexer));
  const rawLexer = new WordLexer({ escapeToken: "\\", skipProcessQuotes: true });
  return expandRaw(expanded, expander(rawLexer));
}

function copySource(
  stage: BuildStage,
  command: CopyCommand,
  source: BuildStage | undefined,
  { buildContext, ignoreMatcher }: DispatchContext,
): CopySource {
  if (source === undefined) return { state: buildContext, ignoreMatcher };
  if (!source.dispatched) {
    throw new BuildError(
      Code.Unknown,
      `cannot copy from stage ${JSON.stringify(command.from)}, it needs to be defined before current stage ${JSON.stringify(stage.name)}`,
    );
  }
  return { state: source.state, ignoreMatcher: undefined };
}

function addPaths(paths: Set<string>, added: readonly string[]): void {
  for (const path of added) paths.add(joinPath("/", path));
}
