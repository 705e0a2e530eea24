import type { Linter } from "../lint/linter.ts";
import type { DockerfileAst, InstructionNode } from "../parser/ast.ts";
import type { ArgCommand, Command, Stage } from "./types.ts";

export interface ParsedStages {
  readonly stages: readonly Stage[];
  /** ARGs before the first FROM. */
  readonly metaArgs: readonly ArgCommand[];
}

/** @throws DockerfileError */
export function parseStages(_ast: DockerfileAst, _lint: Linter): ParsedStages {
  throw new Error("to follow");
}

/** One instruction; FROM gives a Stage without commands. @throws DockerfileError */
export function parseInstruction(_node: InstructionNode, _lint?: Linter): Command | Stage {
  throw new Error("to follow");
}

/** An ONBUILD trigger: anything but FROM. @throws DockerfileError */
export function parseCommand(_node: InstructionNode): Command {
  throw new Error("to follow");
}
