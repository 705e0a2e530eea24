import { SocketAddress } from "node:net";
import { type HostIP, type LinuxResources, NetMode, type Ulimit } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { hostPlatform, type Platform, parsePlatform } from "../../../core/values/platform.ts";
import type { ResolveMode } from "../../../llb/builder/index.ts";
import { csvFields } from "../instructions/csv-fields.ts";
import { type LintConfig, parseLintConfig } from "../lint/index.ts";
import { parseBool } from "../text.ts";
import { parseSbomConfig, type SbomConfig } from "./attestations.ts";
import { parseLinuxResources } from "./linux-resources.ts";

type Opts = Readonly<Record<string, string>>;

export interface CacheImport {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Frontend attributes (map e1, e2) in their types. */
export interface BuildConfig {
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly cacheIdNamespace: string;
  readonly cgroupParent: string;
  readonly extraHosts: readonly HostIP[];
  readonly hostname: string;
  readonly imageResolveMode: ResolveMode;
  readonly networkMode: NetMode;
  /** 0: the worker's default. */
  readonly shmSizeBytes: number;
  readonly target: string;
  readonly ulimits: readonly Ulimit[];
  readonly linuxResources: LinuxResources | undefined;
  /** Build argument in place of the file's `check` directive. */
  readonly lintConfig: LintConfig | undefined;
  readonly cacheImports: readonly CacheImport[];
  /** Empty: the build platform. */
  readonly targetPlatforms: readonly Platform[];
  readonly buildPlatforms: readonly [Platform, ...Platform[]];
  readonly multiPlatformRequested: boolean;
  /** Stage names to build without cache; empty: all; undefined: none. */
  readonly noCacheStages: readonly string[] | undefined;
  /** Undefined: none wanted. */
  readonly sbom: SbomConfig | undefined;
}

/** @param buildPlatform platform of the first worker @throws BuildError naming the attribute at fault */
export function parseBuildConfig(opts: Opts, buildPlatform: Platform = hostPlatform()): BuildConfig {
  refuseRemovedOpts(opts);
  const targetPlatforms = parsePlatforms(opts["platform"] ?? "");
  const noCache = opts["no-cache"];
  return {
    targetPlatforms,
    buildPlatforms: [buildPlatform],
    imageResolveMode: parseResolveMode(opts["image-resolve-mode"] ?? ""),
    extraHosts: inContext("failed to parse additional hosts", () => parseExtraHosts(opts["add-hosts"] ?? "")),
    shmSizeBytes: inContext("failed to parse shm size", () => parseInteger(opts["shm-size"] || "0")),
    ulimits: inContext("failed to parse ulimit", () => parseUlimits(opts["ulimit"] ?? "")),
    linuxResources: inContext("failed to parse resource limits", () => parseLinuxResources(opts)),
    networkMode: parseNetworkMode(opts["force-network-mode"] ?? ""),
    noCacheStages: noCache === undefined ? undefined : noCache === "" ? [] : noCache.split(","),
    multiPlatformRequested: parseMultiPlatform(opts, targetPlatforms.length > 1),
    cacheImports: parseCacheImports(opts),
    sbom: parseSbomConfig(opts),
    buildArgs: withPrefix(opts, "build-arg:"),
    labels: withPrefix(opts, "label:"),
    cacheIdNamespace: opts["build-arg:BUILDKIT_CACHE_MOUNT_NS"] ?? "",
    cgroupParent: opts["cgroup-parent"] ?? "",
    target: opts["target"] ?? "",
    hostname: opts["build-arg:BUILDKIT_SANDBOX_HOSTNAME"] || (opts["hostname"] ?? ""),
    lintConfig: parseCheckArg(opts["build-arg:BUILDKIT_DOCKERFILE_CHECK"]),
  };
}

function refuseRemovedOpts(opts: Opts): void {
  if (opts["override-copy-image"]) {
    throw invalid('support for "override-copy-image" was removed in BuildKit 0.11');
  }
  if (parseBool(opts["build-arg:BUILDKIT_DISABLE_FILEOP"] ?? "") === true) {
    throw invalid('support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11');
  }
}

function parsePlatforms(list: string): Platform[] {
  if (list === "") return [];
  return list.split(",").map((text) => inContext(`failed to parse target platform ${text}`, () => parsePlatform(text)));
}

function parseResolveMode(text: string): ResolveMode {
  if (text === "") return "default";
  if (text === "default" || text === "pull" || text === "local") return text;
  throw invalid(`invalid image-resolve-mode: ${text}`);
}

function parseNetworkMode(text: string): NetMode {
  if (text === "" || text === "sandbox") return NetMode.UNSET;
  if (text === "none") return NetMode.NONE;
  if (text === "host") return NetMode.HOST;
  throw invalid(`invalid netmode ${text}`);
}

function parseExtraHosts(text: string): HostIP[] {
  if (text === "") return [];
  return csvFields(text).map((field) => {
    const entry = field.toLowerCase();
    const equals = entry.indexOf("=");
    if (equals < 0) throw invalid(`invalid key-value pair ${field}`);
    const address = entry.slice(equals + 1);
    return { Host: entry.slice(0, equals), IP: canonicalAddress(address) };
  });
}

function canonicalAddress(text: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const address = mapped?.[1] ?? text;
  try {
    return new SocketAddress({ address, family: address.includes(":") ? "ipv6" : "ipv4" }).address;
  } catch {
    throw invalid(`failed to parse IP ${text}`);
  }
}

const ulimitNames = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

function parseUlimits(text: string): Ulimit[] {
  if (text === "") return [];
  return csvFields(text).map((field) => {
    const equals = field.indexOf("=");
    if (equals < 0) throw invalid(`invalid ulimit argument: ${field}`);
    const name = field.slice(0, equals);
    if (!ulimitNames.has(name)) throw invalid(`invalid ulimit type: ${name}`);
    const limits = field.slice(equals + 1).split(":");
    if (limits.length > 2) {
      throw invalid(
        `too many limit value arguments - ${field.slice(equals + 1)}, can only have up to two, \`soft[:hard]\``,
      );
    }
    const [soft = 0, hard = soft] = limits.map(parseInteger);
    if (hard !== -1 && (soft === -1 || soft > hard)) {
      const shown = soft === -1 ? `soft: -1 (unlimited), hard: ${hard}` : `${soft} > ${hard}`;
      throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${shown}`);
    }
    return { Name: name, Soft: soft, Hard: hard };
  });
}

function parseMultiPlatform(opts: Opts, several: boolean): boolean {
  const text = opts["build-arg:BUILDKIT_MULTI_PLATFORM"] || opts["multi-platform"];
  if (!text) return several;
  const wanted = parseBool(text);
  if (wanted === undefined) throw invalid(`invalid boolean value for multi-platform: ${text}`);
  if (!wanted && several) {
    throw invalid("conflicting config: returning multiple target platforms is not allowed");
  }
  return wanted;
}

function parseCacheImports(opts: Opts): CacheImport[] {
  const imports: CacheImport[] = [];
  const json = opts["cache-imports"];
  if (json) {
    let entries: readonly { readonly Type?: string; readonly Attrs?: Readonly<Record<string, string>> }[];
    try {
      entries = JSON.parse(json) ?? [];
      if (!Array.isArray(entries) || entries.some((entry) => typeof entry !== "object" || entry === null)) {
        throw new BuildError(Code.Unknown, "it is no list of objects");
      }
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to unmarshal cache-imports (${JSON.stringify(json)})`);
    }
    for (const entry of entries) imports.push({ type: entry.Type ?? "", attrs: entry.Attrs ?? {} });
  }
  for (const ref of (opts["cache-from"] || undefined)?.split(",") ?? []) {
    imports.push({ type: "registry", attrs: { ref } });
  }
  return imports;
}

function parseCheckArg(text: string | undefined): LintConfig | undefined {
  if (text === undefined) return undefined;
  return inContext("failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK", () => parseLintConfig(text));
}

/** Attributes with a prefix, under the rest of their names. */
export function withPrefix(opts: Opts, prefix: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(opts)) {
    if (key.startsWith(prefix)) found.set(key.slice(prefix.length), value);
  }
  return found;
}

function parseInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw invalid(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}

function inContext<T>(context: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw BuildError.from(error).wrap(context);
  }
}
