import type { CacheOption } from "../../client/index.ts";
import { csvPairs, parseBool } from "../csv-fields.ts";
import { UsageError } from "../usage-error.ts";

/** One `--export-cache`; a bare image name means `type=registry,ref=name` (BuildKit cmd/buildctl/build/exportcache.go). */
export function parseCacheExport(text: string, env: NodeJS.ProcessEnv = process.env): CacheOption {
  const option = parse("--export-cache", text, env);
  return { type: option.type, attributes: { mode: "min", ...option.attributes } };
}

/** One `--import-cache`, likewise. */
export function parseCacheImport(text: string, env: NodeJS.ProcessEnv = process.env): CacheOption {
  return parse("--import-cache", text, env);
}

function parse(flag: string, text: string, env: NodeJS.ProcessEnv): CacheOption {
  if (!text.includes("type=")) return { type: "registry", attributes: { ref: text } };
  const { type = "", ...attributes } = Object.fromEntries(csvPairs(text)) as Record<string, string>;
  if (type === "") throw new UsageError(`${flag} requires type=<type>`);
  if (type === "registry" && !attributes["ref"]) {
    throw new UsageError(`registry cache ${flag === "--import-cache" ? "importer" : "exporter"} requires ref`);
  }
  return type === "gha" ? { type, attributes: withGithubEnv(attributes, env) } : { type, attributes };
}

/** What GitHub's runner puts into the environment for its cache service. */
function withGithubEnv(attributes: Record<string, string>, env: NodeJS.ProcessEnv): Record<string, string> {
  const version = attributes["version"] ?? (parseBool(env["ACTIONS_CACHE_SERVICE_V2"]) === true ? "2" : "");
  const found: Record<string, string> = { ...attributes };
  const results = env["ACTIONS_RESULTS_URL"];
  if (found["url_v2"] === undefined && version === "2" && results !== undefined) found["url_v2"] = results;
  const url = found["url"] ?? env["ACTIONS_CACHE_URL"] ?? results;
  if (url !== undefined) found["url"] = url;
  if (found["url"] === undefined && found["url_v2"] === undefined) {
    throw new UsageError("cache with type gha requires url parameter to be set");
  }
  const token = found["token"] ?? env["ACTIONS_RUNTIME_TOKEN"];
  if (token === undefined)
    throw new UsageError("cache with type gha requires token parameter or $ACTIONS_RUNTIME_TOKEN");
  return { ...found, token };
}
