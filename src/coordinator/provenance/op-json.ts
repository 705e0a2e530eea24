import type { Op } from "../../api/gen/ops.ts";

/** Where the codec's names are not those of the .proto files. */
const protoNames: Readonly<Record<string, string>> = {
  proxyEnv: "proxy_env",
  httpProxy: "http_proxy",
  httpsProxy: "https_proxy",
  ftpProxy: "ftp_proxy",
  noProxy: "no_proxy",
  allProxy: "all_proxy",
  includePatterns: "include_patterns",
  excludePatterns: "exclude_patterns",
  requiredPaths: "required_paths",
};

type Fields = Readonly<Record<string, unknown>>;

/** An op as provenance shows it, without its inputs: JSON as Go writes pb.Op (BuildKit solver/pb/json.go). */
export function opJson({ op, platform, constraints }: Op): object {
  return {
    Op: op === undefined ? {} : { [op.$case]: messageJson(op.value) },
    ...(platform === undefined ? {} : { platform: messageJson(platform) }),
    ...(constraints === undefined ? {} : { constraints: messageJson(constraints) }),
  };
}

/** A message as Go's encoding/json writes it: names of the .proto file, no zero values, enums as numbers. */
export function messageJson(message: object): Fields {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(message)) {
    if (isFileAction(message) && (key === "input" || key === "secondaryInput" || key === "output")) {
      shown[key] = Number(value);
    } else if (isChoice(value)) {
      Object.assign(shown, choiceJson(key, value));
    } else if (key === "attrs" || (key === "inputs" && !Array.isArray(value))) {
      // The two maps of ops.
      if (Object.keys(value as object).length > 0) shown[key] = mapJson(value as Fields);
    } else if (!isZero(value)) {
      shown[protoNames[key] ?? key] = valueJson(value);
    }
  }
  return shown;
}

interface Choice {
  readonly $case: string;
  readonly value: unknown;
}

function choiceJson(field: string, { $case, value }: Choice): Fields {
  // Go's marshaller of users and actions has names of its own, and knows nothing of symlinks.
  if (field === "user") {
    const name = $case === "byID" ? "byId" : $case;
    return { User: isZero(value) ? {} : { [name]: valueJson(value) } };
  }
  if (field === "action") return { Action: $case === "symlink" ? {} : { [$case]: valueJson(value) } };
  return { [$case]: valueJson(value) };
}

function mapJson(map: Fields): Fields {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, valueJson(value)]));
}

function valueJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(valueJson);
  if (typeof value === "object" && value !== null) return messageJson(value);
  return value;
}

function isChoice(value: unknown): value is Choice {
  return typeof value === "object" && value !== null && "$case" in value;
}

function isFileAction(message: object): boolean {
  return "secondaryInput" in message && "action" in message;
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return value === 0 || value === 0n;
}
