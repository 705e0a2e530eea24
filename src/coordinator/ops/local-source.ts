import type { SourceOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { LocalKey } from "../../llb/cache-keys/index.ts";
import { parseLocalSession } from "../../llb/local-session.ts";

/** What of a `local://` source enters its key (map c15, d16). @returns undefined for any other source */
export function parseLocalSource(source: SourceOp): LocalKey | undefined {
  if (!source.identifier.startsWith("local://")) return undefined;
  const patterns = (key: string) => parsePatterns(key, source.attrs[key]);
  return {
    ...parseLocalSession(source.identifier, source.attrs["local.session"]),
    includePatterns: patterns("local.includepattern"),
    excludePatterns: patterns("local.excludepatterns"),
    followPaths: patterns("local.followpaths"),
    metadataTransfer: source.attrs["local.metadatatransfer"] === "true",
    metadataExceptions: patterns("local.metadatatransferexclude"),
  };
}

function parsePatterns(key: string, text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  } catch {
    // Said below.
  }
  throw new BuildError(Code.InvalidArgument, `${key} is no JSON list of strings: ${text}`);
}
