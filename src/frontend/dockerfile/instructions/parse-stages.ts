import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { atOnce } from "../../../util/turns.ts";
import { withLocation } from "../dockerfile-error.ts";
import type { Linter } from "../lint/linter.ts";
import type { DockerfileAst, InstructionNode } from "../parser/ast.ts";
import { parseInstruction } from "./parse-instruction.ts";
import type { ArgCommand, Command, Stage } from "./types.ts";

export interface ParsedStages {
  readonly stages: readonly Stage[];
  /** ARGs before the first FROM. */
  readonly metaArgs: readonly ArgCommand[];
}

/** All instructions of a Dockerfile, by stage (BuildKit frontend/dockerfile/instructions/parse.go). @throws DockerfileError */
export function parseStages(ast: DockerfileAst, lint?: Linter): ParsedStages {
  return atOnce(stageSteps(ast, lint));
}

/** The same, instruction by instruction. */
export function* stageSteps(ast: DockerfileAst, lint?: Linter): Generator<void, ParsedStages> {
  const stages: Stage[] = [];
  const metaArgs: ArgCommand[] = [];
  for (const node of ast.instructions) {
    const parsed = parseOrExplain(node, lint);
    const stage = stages.at(-1);
    if (parsed.kind === "from") stages.push(parsed);
    else if (stage) stage.commands.push(parsed);
    else if (parsed.kind === "arg") metaArgs.push(parsed);
    else throw withLocation(new BuildError(Code.Unknown, "no build stage in current context"), node.location);
    yield;
  }
  return { stages, metaArgs };
}

function parseOrExplain(node: InstructionNode, lint: Linter | undefined): Command | Stage {
  try {
    return parseInstruction(node, lint);
  } catch (error) {
    throw BuildError.from(error).wrap(`dockerfile parse error on line ${node.startLine}`);
  }
}
