export type { DockerfileAst, EscapeToken, Heredoc, InstructionNode, ParseWarning } from "./ast.ts";
export { detectSyntax, type FoundDirective, findDirective } from "./detect-syntax.ts";
export { chompHeredoc, parseHeredoc, tryParseHeredoc } from "./heredoc.ts";
export { parseDockerfile, parseSteps } from "./parse-dockerfile.ts";
