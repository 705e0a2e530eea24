import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { withSource } from "../../core/errors/source-error.ts";

const vertexDetail = "github.com/moby/buildkit/errdefs.Vertex+json";

/**
 * Adds the lines a failed vertex came from, as the definition's source map has them, so that clients print an excerpt
 * (BuildKit solver/llbsolver/bridge.go: each vertex detail gets its sources).
 */
export function withDefinitionSource(error: unknown, definition: Definition): BuildError {
  let result = BuildError.from(error);
  const source = definition.Source;
  if (source === undefined) return result;
  for (const digest of failedVertices(result)) {
    for (const location of source.locations[digest]?.locations ?? []) {
      const info = source.infos[location.sourceIndex];
      if (info !== undefined) result = withSource(result, info, location.ranges);
    }
  }
  return result;
}

function failedVertices(error: BuildError): string[] {
  return error.details
    .filter(({ typeUrl }) => typeUrl === vertexDetail)
    .map(({ value }) => (JSON.parse(new TextDecoder().decode(value)) as { readonly digest: string }).digest);
}
