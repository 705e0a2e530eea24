export type { DockerfileAst, EscapeToken, Heredoc, InstructionNode, ParseWarning } from "./ast.ts";
export { parseDockerfile } from "./parse-dockerfile.ts";
