import type { Digest } from "../../core/values/digest.ts";
import { formatImageSpec, type ImageSpec, parseImageSpec } from "../../core/values/image-reference.ts";
import { goAtoi, parseGoDigest } from "../go-text.ts";
import { type SourceRequest, sourceError, splitIdentifier } from "../source-identifier.ts";

/** A parsed `docker-image://` or `oci-layout://` source (BuildKit source/containerimage). */
export interface ImageIdentifier {
  readonly kind: "registry" | "oci-layout";
  readonly spec: ImageSpec;
  /** `docker.io/library/alpine:3.20`. */
  readonly name: string;
  readonly resolveMode: ResolveMode;
  readonly recordType?: string;
  readonly layerLimit?: number;
  readonly checksum?: Digest;
  /** oci-layout: session to ask (empty: any) and name of the store. */
  readonly sessionId: string;
  readonly storeId: string;
}

export type ResolveMode = "default" | "pull" | "local";

const recordTypes = new Set(["regular", "internal", "frontend"]);

/** @throws BuildError `object required`, `invalid layer limit 0`, … */
export function parseImageIdentifier(source: SourceRequest): ImageIdentifier {
  const { scheme, ref } = splitIdentifier(source.identifier);
  if (scheme !== "docker-image" && scheme !== "oci-layout") throw sourceError(`no handler for ${scheme}`);
  const spec = parseImageSpec(ref);
  if (spec.object === "") throw sourceError("object required");
  const { attrs } = source;
  const base = { spec, name: formatImageSpec(spec), sessionId: "", storeId: "" };
  if (scheme === "oci-layout") {
    return {
      ...base,
      kind: "oci-layout",
      resolveMode: "pull",
      sessionId: attrs["oci.session"] ?? "",
      storeId: attrs["oci.store"] ?? "",
      ...limit(attrs["oci.layerlimit"]),
    };
  }
  const checksum = attrs["image.checksum"];
  return {
    ...base,
    kind: "registry",
    resolveMode: parseResolveMode(attrs["image.resolvemode"]),
    ...recordType(attrs["image.recordtype"]),
    ...limit(attrs["image.layerlimit"]),
    ...(checksum === undefined ? {} : { checksum: checksumOf(checksum) }),
  };
}

export function parseResolveMode(text: string | undefined): ResolveMode {
  if (text === undefined || text === "" || text === "default") return "default";
  if (text === "pull" || text === "local") return text;
  throw sourceError(`invalid resolvemode: ${text}`);
}

function limit(text: string | undefined): { layerLimit?: number } {
  if (text === undefined) return {};
  let layerLimit: number;
  try {
    layerLimit = goAtoi(text);
  } catch (error) {
    throw sourceError(`invalid layer limit ${text}: ${(error as Error).message}`);
  }
  if (layerLimit <= 0) throw sourceError(`invalid layer limit ${text}`);
  return { layerLimit };
}

export function recordType(text: string | undefined): { recordType?: string } {
  if (text === undefined) return {};
  if (text === "") return { recordType: "regular" };
  if (!recordTypes.has(text)) throw sourceError(`invalid record type ${text}`);
  return { recordType: text };
}

function checksumOf(text: string): Digest {
  try {
    return parseGoDigest(text);
  } catch (error) {
    throw sourceError(`invalid image checksum ${text}: ${(error as Error).message}`);
  }
}
