import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { withSource } from "../../core/errors/source-error.ts";
import type { LlbEdge, LlbVertex } from "../../llb/definition/index.ts";

const vertexDetail = "github.com/moby/buildkit/errdefs.Vertex+json";

/**
 * Adds the lines a failed vertex came from, as the definition's source map has them, so that clients print an excerpt
 * (BuildKit solver/llbsolver/bridge.go: each vertex detail gets its sources).
 * @param edge the graph it was loaded to; absent when it could not be
 */
export function withDefinitionSource(error: unknown, definition: Definition, edge: LlbEdge | undefined): BuildError {
  let result = BuildError.from(error);
  const source = definition.Source;
  if (source === undefined) return result;
  for (const digest of failedVertices(result)) {
    const definedAs = edge && nameInDefinition(edge.vertex, digest);
    for (const location of source.locations[definedAs ?? digest]?.locations ?? []) {
      const info = source.infos[location.sourceIndex];
      if (info !== undefined) result = withSource(result, info, location.ranges);
    }
  }
  return result;
}

/** Undefined when it has none of its own. */
function nameInDefinition(root: LlbVertex, digest: string): string | undefined {
  const seen = new Set([root]);
  for (const vertex of seen) {
    if (vertex.digest === digest) return vertex.payload.definedAs;
    for (const input of vertex.inputs) seen.add(input.vertex);
  }
  return undefined;
}

function failedVertices(error: BuildError): string[] {
  return error.details
    .filter(({ typeUrl }) => typeUrl === vertexDetail)
    .map(({ value }) => (JSON.parse(new TextDecoder().decode(value)) as { readonly digest: string }).digest);
}
