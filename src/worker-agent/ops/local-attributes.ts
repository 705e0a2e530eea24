import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { parseLocalSession } from "../../llb/local-session.ts";

/** What a `local://` source asks for (map c15; BuildKit source/local/source.go). */
export interface LocalAttributes {
  readonly name: string;
  /** Empty: any session of the build. */
  readonly sessionId: string;
  readonly includePatterns: readonly string[] | undefined;
  readonly excludePatterns: readonly string[] | undefined;
  readonly followPaths: readonly string[] | undefined;
  readonly sharedKeyHint: string;
  readonly differ: "metadata" | "none";
  readonly metadataOnly: boolean;
  readonly metadataExceptions: readonly string[] | undefined;
}

/** @throws BuildError on an attribute that cannot be read; unknown ones are left to newer versions */
export function parseLocalAttributes(identifier: string, attrs: Readonly<Record<string, string>>): LocalAttributes {
  return {
    ...parseLocalSession(identifier, attrs["local.session"]),
    includePatterns: stringList(attrs["local.includepattern"]),
    excludePatterns: stringList(attrs["local.excludepatterns"]),
    followPaths: stringList(attrs["local.followpaths"]),
    sharedKeyHint: attrs["local.sharedkeyhint"] ?? "",
    differ: attrs["local.differ"] === "none" ? "none" : "metadata",
    metadataOnly: parseBoolean(attrs["local.metadatatransfer"]),
    metadataExceptions: stringList(attrs["local.metadatatransferexclude"]),
  };
}

function stringList(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BuildError(Code.Unknown, (error as Error).message, { cause: error });
  }
  if (value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new BuildError(Code.Unknown, "json: cannot unmarshal value into Go value of type []string");
  }
  return value;
}

function parseBoolean(text: string | undefined): boolean {
  if (text === undefined || /^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  const quoted = JSON.stringify(text);
  throw new BuildError(
    Code.Unknown,
    `invalid value for local.metadatatransfer ${quoted}: strconv.ParseBool: parsing ${quoted}: invalid syntax`,
  );
}
