import type { DockerfileAst } from "./ast.ts";

/** @throws DockerfileError with the lines at fault. */
export function parseDockerfile(_source: Uint8Array): DockerfileAst {
  throw new Error("to follow");
}
