import type { SecretSource } from "../../client/session/index.ts";
import { csvPairs } from "../csv-fields.ts";
import { UsageError } from "../usage-error.ts";

/** One `--secret`: `id=name[,src=file|,env=VARIABLE][,type=file|env]` (BuildKit cmd/buildctl/build/secret.go). */
export function parseSecret(text: string): SecretSource {
  let id = "";
  let type: string | undefined;
  let file: string | undefined;
  let env: string | undefined;
  for (const [key, value] of csvPairs(text)) {
    if (key === "id") id = value;
    else if (key === "src" || key === "source") file = value;
    else if (key === "env") env = value;
    else if (key !== "type") throw new UsageError(`unexpected key '${key}' in --secret ${text}`);
    else if (value === "file" || value === "env") type = value;
    else throw new UsageError(`unsupported secret type ${JSON.stringify(value)}`);
  }
  if (id === "") throw new UsageError(`--secret ${text} has no id=<name>`);
  if (type === "env" && env === undefined) {
    env = file;
    file = undefined;
  }
  return { id, ...(file === undefined ? {} : { file }), ...(env === undefined ? {} : { env }) };
}
