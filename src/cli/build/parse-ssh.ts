import type { SshForward } from "../../client/session/index.ts";
import { parseBool } from "../csv-fields.ts";
import { UsageError } from "../usage-error.ts";

/** One `--ssh`: `default`, `id=socket` or `id=socket,raw=true` (BuildKit cmd/buildctl/build/ssh.go). */
export function parseSsh(text: string): SshForward {
  const [id = "", ...rest] = text.split("=");
  const name = id === "" ? "default" : id;
  const paths: string[] = [];
  let raw = false;
  for (const part of rest.length === 0 ? [] : rest.join("=").split(",")) {
    if (!part.startsWith("raw=")) {
      paths.push(part);
      continue;
    }
    const value = parseBool(part.slice("raw=".length));
    if (value === undefined) throw new UsageError(`invalid value for 'raw': ${part.slice("raw=".length)}`);
    raw = value;
  }
  if (raw && paths.length !== 1) {
    throw new UsageError(`raw mode must supply exactly one socket path for ${JSON.stringify(name)}`);
  }
  return { id: name, paths, raw };
}
