import type { SolveRequest } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { compatibilityVersions, currentCompatibilityVersion } from "../../core/values/compatibility-version.ts";
import type { CacheExportEntry, CacheImportEntry, ExporterEntry, SolveParams } from "./build-service.ts";

/**
 * Checks `Control.Solve` and folds its deprecated fields into the new ones (BuildKit control/control.go, map a12–a14).
 * Codes are Unknown where BuildKit's are: its clients print any other code before the message.
 * @throws BuildError
 */
export function solveParams(request: SolveRequest, traceparent: string | undefined): SolveParams {
  checkRef(request.Ref);
  const compatibilityVersion = checkCompatibility(request.CompatibilityVersion);
  const clientDriven = request.Frontend === "" && request.Definition === undefined;
  return {
    ref: request.Ref,
    sessionId: request.Session,
    clientDriven,
    frontend: request.Frontend,
    frontendOpt: request.FrontendAttrs,
    frontendInputs: request.FrontendInputs,
    ...(request.Definition === undefined ? {} : { definition: request.Definition }),
    exporters: exporters(request),
    cacheExports: cacheExports(request),
    cacheImports: cacheImports(request),
    entitlements: request.Entitlements,
    internal: request.Internal,
    ...(request.SourcePolicy === undefined ? {} : { sourcePolicy: request.SourcePolicy }),
    sourcePolicySession: request.SourcePolicySession,
    enableSessionExporter: request.EnableSessionExporter,
    compatibilityVersion,
    proxyNetwork: request.ProxyNetwork,
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

/** Refs become parts of keys, file names and log lines. */
function checkRef(ref: string): void {
  if (ref === "" || ref.length > 256 || !/^[\x21-\x7e]+$/.test(ref)) {
    throw new BuildError(Code.InvalidArgument, `invalid build ref ${JSON.stringify(ref.slice(0, 256))}`);
  }
}

function checkCompatibility(version: number): number {
  if (version === 0) return currentCompatibilityVersion;
  if (compatibilityVersions.includes(version)) return version;
  throw new BuildError(
    Code.Unknown,
    version > currentCompatibilityVersion
      ? `unsupported compatibility-version ${version}: upgrade buildkit (max supported: ${currentCompatibilityVersion})`
      : `unsupported compatibility-version ${version} (supported: [${compatibilityVersions.join(" ")}])`,
  );
}

function exporters(request: SolveRequest): ExporterEntry[] {
  const entries = request.Exporters.map((entry) => ({ type: entry.Type, attrs: entry.Attrs }));
  if (entries.length === 0 && request.ExporterDeprecated !== "") {
    entries.push({ type: request.ExporterDeprecated, attrs: request.ExporterAttrsDeprecated });
  }
  const epoch = request.FrontendAttrs["build-arg:SOURCE_DATE_EPOCH"];
  if (epoch === undefined || !/^[+-]?[0-9]+$|^$/.test(epoch)) return entries;
  return entries.map(({ type, attrs }) => ({ type, attrs: { "source-date-epoch": epoch, ...attrs } }));
}

function cacheExports(request: SolveRequest): CacheExportEntry[] {
  const entries: CacheImportEntry[] = (request.Cache?.Exports ?? []).map((entry) => ({
    type: entry.Type,
    attrs: entry.Attrs,
  }));
  const legacyRef = request.Cache?.ExportRefDeprecated ?? "";
  if (legacyRef !== "") {
    entries.push({ type: "registry", attrs: { ...request.Cache?.ExportAttrsDeprecated, ref: legacyRef } });
  }
  const seen = new Set<string>();
  const kept: CacheExportEntry[] = [];
  const duplicates: string[] = [];
  for (const entry of entries) {
    if (entry.type === "inline" && kept.some((other) => other.type === "inline")) continue;
    const key = cacheExportKey(entry);
    if (seen.has(key)) duplicates.push(entry.type);
    seen.add(key);
    kept.push({
      ...entry,
      // An unknown mode counts as the default, as in BuildKit.
      mode: entry.attrs["mode"] === "max" ? "max" : "min",
      ignoreError: goTrue.has(entry.attrs["ignore-error"] ?? ""),
    });
  }
  if (duplicates.length > 0) {
    throw new BuildError(Code.Unknown, `duplicate cache exports [${duplicates.join(" ")}]`);
  }
  return kept;
}

/** What Go's strconv.ParseBool takes as true. */
const goTrue = new Set(["1", "t", "T", "true", "TRUE", "True"]);

/** Two registry exports to one ref are duplicates whatever else they say; others when all attributes agree. */
function cacheExportKey(entry: CacheImportEntry): string {
  const ref = entry.attrs["ref"] ?? "";
  if (entry.type === "registry" && ref !== "") return ref;
  const attrs = Object.entries(entry.attrs).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([entry.type, attrs]);
}

function cacheImports(request: SolveRequest): CacheImportEntry[] {
  return [
    ...(request.Cache?.Imports ?? []).map((entry) => ({ type: entry.Type, attrs: entry.Attrs })),
    ...(request.Cache?.ImportRefsDeprecated ?? []).map((ref) => ({ type: "registry", attrs: { ref } })),
  ];
}
