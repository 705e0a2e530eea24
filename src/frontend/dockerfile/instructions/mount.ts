import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { withSuggestion } from "../suggest.ts";
import { cut, parseBool, quote } from "../text.ts";
import { parseByteSize } from "./byte-size.ts";
import { csvFields } from "./csv-fields.ts";
import type { CacheSharing, Mount, MountType, WordExpander } from "./types.ts";

const mountTypes: readonly MountType[] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const sharingModes: readonly CacheSharing[] = ["shared", "private", "locked"];

type Draft = { -readonly [K in keyof Mount]: Mount[K] };

/**
 * Reads one `--mount` value (BuildKit frontend/dockerfile/instructions/commands_runmount.go). @throws BuildError
 */
export function parseMount(value: string, expander: WordExpander): Mount {
  const mount: Draft = {
    type: "bind",
    from: "",
    source: "",
    target: "",
    readOnly: false,
    sizeLimitBytes: 0,
    cacheId: "",
    required: false,
  };
  let readOnly: boolean | undefined;
  for (const field of mountFields(value)) {
    const { before, after } = cut(field, "=");
    const key = before.toLowerCase();
    if (key === "readonly" || key === "ro") readOnly = after === undefined || asBool(key, expander(after));
    else if (key === "readwrite" || key === "rw") readOnly = !(after === undefined || asBool(key, expander(after)));
    else if (after !== undefined) setField(mount, key, expander(after), field);
    else if (key === "required") setField(mount, key, "true", field);
    else throw fault(`invalid field '${field}' must be a key=value pair`);
  }
  mount.readOnly = readOnly ?? (mount.type !== "cache" && mount.type !== "tmpfs");
  checkMount(mount);
  return mount;
}

/** What can be known of a `--mount` value before variables have values: `from`, which takes none. @throws BuildError */
export function parseMountFrom(value: string): Mount {
  let from = "";
  for (const field of mountFields(value)) {
    const { before, after } = cut(field, "=");
    if (before.toLowerCase() !== "from" || after === undefined) continue;
    const dollar = after.indexOf("$");
    if (dollar >= 0 && dollar !== after.length - 1) {
      throw fault("'from' doesn't support variable expansion, define alias stage instead");
    }
    from = after;
  }
  return {
    type: "bind",
    from,
    source: "",
    target: "",
    readOnly: true,
    sizeLimitBytes: 0,
    cacheId: "",
    required: false,
  };
}

function mountFields(value: string): string[] {
  try {
    return csvFields(value);
  } catch (error) {
    throw BuildError.from(error).wrap("failed to parse csv mounts");
  }
}

function setField(mount: Draft, key: string, value: string, field: string): void {
  switch (key) {
    case "type":
      mount.type = oneOf(value, mountTypes, "mount type");
      break;
    case "from":
      mount.from = value;
      break;
    case "source":
    case "src":
      mount.source = value;
      break;
    case "target":
    case "dst":
    case "destination":
      mount.target = value;
      break;
    case "required":
      if (mount.type !== "secret" && mount.type !== "ssh") throw unexpectedFor(key, mount.type);
      mount.required = asBool(key, value);
      break;
    case "size":
      if (mount.type !== "tmpfs") throw unexpectedFor(key, mount.type);
      mount.sizeLimitBytes = parseByteSize(value) ?? invalidValue(key, value);
      break;
    case "id":
      mount.cacheId = value;
      break;
    case "sharing":
      mount.cacheSharing = oneOf(value, sharingModes, "sharing value");
      break;
    case "mode":
      mount.mode = asUint32(key, value, 8);
      break;
    case "uid":
    case "gid":
      mount[key] = asUint32(key, value, 10);
      break;
    case "env":
      mount.env = value;
      break;
    default:
      throw fault(withSuggestion(`unexpected key '${key}' in '${field}'`, key, mountKeys));
  }
}

const mountKeys = [
  "type",
  "from",
  "source",
  "target",
  "readonly",
  "id",
  "sharing",
  "required",
  "size",
  "mode",
  "uid",
  "gid",
  "src",
  "dst",
  "destination",
  "ro",
  "rw",
  "readwrite",
  "env",
];

function checkMount(mount: Mount): void {
  if (mount.type === "bind" || mount.type === "tmpfs") {
    for (const key of ["mode", "uid", "gid"] as const) {
      if (mount[key] !== undefined) throw fault(`${key} not allowed for ${quote(mount.type)} type mounts`);
    }
  }
  if (mount.type === "secret") {
    if (mount.from !== "") throw fault("secret mount should not have a from");
    if (mount.cacheSharing !== undefined) throw fault("secret mount should not define sharing");
    if (mount.source === "" && mount.target === "" && mount.cacheId === "") {
      throw fault("invalid secret mount. one of source, target required");
    }
    if (mount.source !== "" && mount.cacheId !== "") throw fault("both source and id can't be set");
  }
  if (mount.cacheSharing !== undefined && mount.type !== "cache") {
    throw fault(`invalid cache sharing set for ${mount.type} mount`);
  }
}

function oneOf<T extends string>(value: string, allowed: readonly T[], what: string): T {
  const found = allowed.find((option) => option === value.toLowerCase());
  if (found !== undefined) return found;
  throw fault(withSuggestion(`unsupported ${what} ${quote(value)}`, value, allowed));
}

function asBool(key: string, value: string): boolean {
  return parseBool(value) ?? invalidValue(key, value);
}

function asUint32(key: string, value: string, radix: 8 | 10): number {
  const digits = radix === 8 ? /^[0-7]+$/ : /^[0-9]+$/;
  const number = digits.test(value) ? Number.parseInt(value, radix) : Number.NaN;
  if (number <= 0xffffffff) return number;
  throw fault(`invalid value ${value} for ${key}`);
}

function invalidValue(key: string, value: string): never {
  throw fault(`invalid value for ${key}: ${value}`);
}

function unexpectedFor(key: string, type: MountType): BuildError {
  return fault(`unexpected key '${key}' for mount type '${type}'`);
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
