import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { ExportSource } from "../core/seams/exporter.ts";
import type { OciPlatform } from "../core/values/descriptor.ts";
import type { Ref } from "../core/values/layer.ts";
import { formatPlatform, hostPlatform, normalizePlatform, type Platform } from "../core/values/platform.ts";

/** One image of a result. */
export interface ResultPlatform {
  readonly id: string;
  readonly platform: Platform;
  /** undefined = scratch */
  readonly ref: Ref | undefined;
}

/** JSON shape of `refs.platforms` (Go field names). */
interface PlatformsJson {
  readonly Platforms?: readonly { readonly ID?: string; readonly Platform?: OciPlatform }[] | null;
}

/**
 * The platforms of a result (BuildKit exptypes.ParsePlatforms): from `refs.platforms`, else the one of the image config, else
 * this machine's.
 * @throws BuildError Unknown, as BuildKit: clients print the bare text
 */
export function resultPlatforms(source: ExportSource): readonly ResultPlatform[] {
  const text = source.metadata.get("refs.platforms");
  if (source.refs !== undefined && source.refs.size > 0 && text === undefined) {
    throw invalid("unable to export multiple refs, missing platforms mapping");
  }
  if (text !== undefined) return fromMapping(source, text);
  const platform = singlePlatform(source);
  return [{ id: formatPlatform(platform), platform, ref: source.ref }];
}

/** True when the result has a ref per platform, whatever their number. */
export function isMultiRef(source: ExportSource): boolean {
  return source.refs !== undefined && source.refs.size > 0;
}

/** Metadata of one platform: `<key>/<id>`, else `<key>`. */
export function platformMetadata(
  source: ExportSource,
  key: string,
  platform: ResultPlatform | undefined,
): Uint8Array | undefined {
  return (platform && source.metadata.get(`${key}/${platform.id}`)) ?? source.metadata.get(key);
}

/** OCI's JSON form, fields in Go's order. */
export function ociPlatform(platform: Platform): OciPlatform {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.osVersion === "" ? {} : { "os.version": platform.osVersion }),
    ...(platform.osFeatures.length === 0 ? {} : { "os.features": platform.osFeatures }),
    ...(platform.variant === "" ? {} : { variant: platform.variant }),
  };
}

function fromMapping(source: ExportSource, text: Uint8Array): readonly ResultPlatform[] {
  // Go marshals a nil mapping as null.
  const mapping = JSON.parse(new TextDecoder().decode(text)) as PlatformsJson | null;
  const entries = mapping?.Platforms ?? [];
  if (entries.length === 0) throw invalid("invalid empty platforms index for exporter");
  if (!isMultiRef(source) && entries.length > 1) {
    throw invalid("cannot export multiple platforms without multi-platform enabled");
  }
  return entries.map((entry) => {
    if (entry.ID === undefined || entry.ID === "") throw invalid("invalid empty platform key for exporter");
    const platform = fromOci(entry.Platform);
    if (platform.os === "" || platform.architecture === "") throw invalid("invalid platform value for exporter");
    if (!isMultiRef(source)) return { id: entry.ID, platform, ref: source.ref };
    if (source.refs?.has(entry.ID) !== true) throw invalid(`failed to find ref for ID ${entry.ID}`);
    return { id: entry.ID, platform, ref: source.refs.get(entry.ID) };
  });
}

function singlePlatform(source: ExportSource): Platform {
  const config = source.metadata.get("containerimage.config");
  if (config === undefined) return hostPlatform();
  const platform = fromOci(JSON.parse(new TextDecoder().decode(config)) as Partial<OciPlatform>);
  if ((platform.os === "") !== (platform.architecture === "")) {
    throw invalid("invalid image config: os and architecture must be specified together");
  }
  return platform;
}

function fromOci(platform: Partial<OciPlatform> | undefined): Platform {
  return normalizePlatform({
    os: platform?.os ?? "",
    architecture: platform?.architecture ?? "",
    variant: platform?.variant ?? "",
    osVersion: platform?.["os.version"] ?? "",
    osFeatures: platform?.["os.features"] ?? [],
  });
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
