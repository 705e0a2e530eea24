import type { Range } from "../../../api/gen/ops.ts";

export type EscapeToken = "\\" | "`";

/** One heredoc of an instruction. */
export interface Heredoc {
  /** Delimiter without quotes. */
  readonly name: string;
  readonly fileDescriptor: number;
  /** False when the delimiter was quoted. */
  readonly expand: boolean;
  /** `<<-`: leading tabs are to be dropped. */
  readonly chomp: boolean;
  /** Body with its line ends, tabs kept. */
  readonly content: string;
}

/** One logical line of a Dockerfile, split into words the way its instruction asks for. */
export interface InstructionNode {
  /** Instruction as written. */
  readonly name: string;
  /** `--flag` words before the arguments. */
  readonly flags: readonly string[];
  /** Words; ENV and LABEL give triples of key, value and `=` (or an empty string in the old form). */
  readonly args: readonly string[];
  /** True when the arguments were a JSON array of strings. */
  readonly json: boolean;
  readonly heredocs: readonly Heredoc[];
  /** The line with continuations joined. */
  readonly original: string;
  readonly startLine: number;
  readonly endLine: number;
  /** One range per line. */
  readonly location: readonly Range[];
  /** Comment lines directly above. */
  readonly comments: readonly string[];
}

export interface ParseWarning {
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly location: Range;
}

export interface DockerfileAst {
  readonly instructions: readonly InstructionNode[];
  readonly escapeToken: EscapeToken;
  readonly warnings: readonly ParseWarning[];
}
