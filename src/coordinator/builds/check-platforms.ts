import type { ExportSource } from "../../core/seams/exporter.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../../core/values/platform.ts";
import { isMultiRef, resultPlatforms } from "../../exporters/index.ts";

/**
 * What a build's options ask for, whoever runs the frontend; none named means this machine's (BuildKit
 * exporter/verifier/opts.go). Empty for subrequests, whose results are no images.
 */
export function requestedPlatforms(frontendOpt: Readonly<Record<string, string>>): readonly string[] {
  const { platform, requestid } = frontendOpt;
  if (requestid !== undefined) return [];
  return platform === undefined ? [formatPlatform(hostPlatform())] : platform.split(",").filter((text) => text !== "");
}

/**
 * Warnings for a result whose platforms are not those asked for (map f12; BuildKit exporter/verifier/platforms.go).
 * @param requested see `requestedPlatforms`
 */
export function platformWarnings(requested: readonly string[], source: ExportSource): readonly string[] {
  const isEmpty = source.ref === undefined && !isMultiRef(source);
  if (requested.length === 0 || (isEmpty && !source.metadata.has("refs.platforms"))) return [];
  const wanted = new Set<string>();
  const bad: string[] = [];
  for (const text of requested) {
    try {
      const platform = formatPlatform(parsePlatform(text));
      if (wanted.has(platform)) bad.push(`Duplicate platform result requested ${JSON.stringify(text)}`);
      wanted.add(platform);
    } catch (error) {
      bad.push(`Invalid platform result requested ${JSON.stringify(text)}: ${(error as Error).message}`);
    }
  }
  if (bad.length > 0) return bad;
  const built = resultPlatforms(source).map(({ platform }) => formatPlatform(platform));
  const [only = ""] = built;
  if (wanted.size === 1 && built.length === 1) {
    if (wanted.has(only)) return [];
    return [
      `Requested platform ${JSON.stringify(requested[0])} does not match result platform ${JSON.stringify(only)}`,
    ];
  }
  if (!isMultiRef(source) && wanted.size > 1) {
    return ["Multiple platforms requested but result is not multi-platform"];
  }
  if (wanted.size === built.length && built.every((platform) => wanted.has(platform))) return [];
  const list = (platforms: Iterable<string>) => [...platforms].sort().join(",");
  return [`Requested platforms ${list(wanted)} do not match result platforms ${list(built)}`];
}
