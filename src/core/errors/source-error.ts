import type { Definition, OpMetadata, Range, SourceInfo } from "../../api/gen/ops.ts";
import { BuildError } from "./build-error.ts";

const sourceTypeUrl = "github.com/moby/buildkit/errdefs.Source+json";

/**
 * The error with a detail which makes clients print the marked lines of the file. Ranges without lines print nothing.
 * The value is JSON as Go writes it: zero fields left out, bytes in base64 (BuildKit solver/errdefs/source.go).
 */
export function withSource(
  error: unknown,
  source: Pick<SourceInfo, "filename" | "data" | "language"> & Partial<Pick<SourceInfo, "definition">>,
  ranges: readonly Range[],
): BuildError {
  const detail = {
    info: {
      ...(source.filename && { filename: source.filename }),
      ...(source.data.length > 0 && { data: Buffer.from(source.data).toString("base64") }),
      ...(source.definition && { definition: definitionJson(source.definition) }),
      ...(source.language && { language: source.language }),
    },
    ...(ranges.length > 0 && {
      ranges: ranges.map(({ start, end }) => ({ start: position(start), end: position(end) })),
    }),
  };
  return BuildError.from(error).wrap("", [{ typeUrl: sourceTypeUrl, value: Buffer.from(JSON.stringify(detail)) }]);
}

function position(place: Range["start"]): { readonly line?: number; readonly character?: number } {
  return { ...(place?.line && { line: place.line }), ...(place?.character && { character: place.character }) };
}

/** Where the file itself came from. */
function definitionJson({ def, metadata }: Definition): object {
  const entries = Object.entries(metadata).map(([digest, op]) => [digest, metadataJson(op)] as const);
  return {
    ...(def.length > 0 && { def: def.map((op) => Buffer.from(op).toString("base64")) }),
    ...(entries.length > 0 && { metadata: Object.fromEntries(entries) }),
  };
}

function metadataJson({ ignoreCache, description, caps }: OpMetadata): object {
  return {
    ...(ignoreCache && { ignore_cache: true }),
    ...(Object.keys(description).length > 0 && { description }),
    ...(Object.keys(caps).length > 0 && { caps }),
  };
}
