import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** Keys that provenance tells of the builder besides its own. */
export type ProvenanceEnvironment = Readonly<Record<string, unknown>>;

const defaultDirectory = "/etc/buildkit/provenance.d";
const ownKeys = ["buildConfig", "builderPlatform", "platform"];

/**
 * Joins the JSON objects in a directory's `*.json`, later files over earlier ones (BuildKit cmd/buildkitd/util.go). A missing
 * directory holds nothing.
 * @throws BuildError for a file that is no JSON object, or a key that is not the operator's to say
 */
export async function loadProvenanceEnvironment(directory: string = defaultDirectory): Promise<ProvenanceEnvironment> {
  const environment: Record<string, unknown> = {};
  for (const name of await jsonFiles(directory)) {
    Object.assign(environment, parseObject(name, await readFile(join(directory, name), "utf8")));
  }
  for (const key of ownKeys) {
    if (key in environment) {
      const quoted = JSON.stringify(key);
      throw new BuildError(
        Code.Unknown,
        `key ${quoted} is builtin and not allowed to be modified in provenance config`,
      );
    }
  }
  return environment;
}

async function jsonFiles(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory() && entry.name.endsWith(".json"));
    return files.map(({ name }) => name).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function parseObject(name: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BuildError(Code.Unknown, `failed to parse ${name}: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new BuildError(Code.Unknown, `failed to parse ${name}: not an object`);
}
