import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, isDigest } from "../../core/values/digest.ts";
import { isIndexType, isManifestType, MediaType } from "../../core/values/media-type.ts";
import { sourceError } from "../source-identifier.ts";

/** An image index (or Docker manifest list), reduced to what is used. */
export interface ImageIndex {
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** An image config, reduced to what is used. */
export interface ImageConfig {
  readonly rootfs: { readonly type: string; readonly diffIds: readonly Digest[] };
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** @throws BuildError when the bytes are no index, or one that also claims to be a manifest */
export function parseIndex(descriptor: Descriptor, bytes: Uint8Array): ImageIndex {
  const document = parseDocument(descriptor, bytes);
  if (Array.isArray(document["layers"]) || document["config"] !== undefined || isManifestType(typeOf(document))) {
    throw invalid(descriptor, "media-type: expected index but found manifest");
  }
  const { manifests, annotations } = document;
  return {
    manifests: Array.isArray(manifests) ? manifests.map((entry) => checked(descriptor, entry)) : [],
    ...(annotations === undefined ? {} : { annotations: annotations as Record<string, string> }),
  };
}

/** @throws BuildError when the bytes are no manifest, or one that also claims to be an index */
export function parseManifest(descriptor: Descriptor, bytes: Uint8Array): ImageManifest {
  const document = parseDocument(descriptor, bytes);
  if (Array.isArray(document["manifests"]) || isIndexType(typeOf(document))) {
    throw invalid(descriptor, "media-type: expected manifest but found index");
  }
  if (document["fsLayers"] !== undefined) throw schema1Error();
  const { layers } = document;
  return {
    config: checked(descriptor, document["config"]),
    layers: Array.isArray(layers) ? layers.map((entry) => checked(descriptor, entry)) : [],
  };
}

/** @throws BuildError when the bytes are not a JSON object */
export function parseConfig(descriptor: Descriptor, bytes: Uint8Array): ImageConfig {
  const document = parseDocument(descriptor, bytes);
  const rootfs = (document["rootfs"] ?? {}) as { type?: unknown; diff_ids?: unknown };
  const diffIds = Array.isArray(rootfs.diff_ids) ? rootfs.diff_ids.map(String) : [];
  if (!diffIds.every(isDigest)) throw invalid(descriptor, "config holds an invalid diff id");
  return {
    rootfs: { type: String(rootfs.type ?? ""), diffIds },
    os: String(document["os"] ?? ""),
    architecture: String(document["architecture"] ?? ""),
    variant: String(document["variant"] ?? ""),
  };
}

/** Media type of a root document of unknown kind (BuildKit util/imageutil DetectManifestBlobMediaType). */
export function detectMediaType(bytes: Uint8Array): string {
  const document = JSON.parse(Buffer.from(bytes).toString("utf8")) as Record<string, unknown>;
  const looksLikeManifest = document["config"] !== undefined || document["layers"] !== undefined;
  if (looksLikeManifest && document["manifests"] !== undefined) {
    throw sourceError("invalid ambiguous manifest and manifest list");
  }
  const declared = typeOf(document);
  const known = looksLikeManifest ? isManifestType : isIndexType;
  if ((isManifestType(declared) || isIndexType(declared)) && !known(declared)) {
    throw sourceError("mediaType in manifest does not match manifest contents");
  }
  if (known(declared)) return declared;
  return looksLikeManifest ? MediaType.dockerManifest : MediaType.dockerIndex;
}

export function isSchema1(mediaType: string): boolean {
  return mediaType === MediaType.dockerSchema1 || mediaType === MediaType.dockerSchema1Signed;
}

export function schema1Error(): Error {
  return sourceError(
    "support Docker Image manifest version 2, schema 1 has been removed. " +
      "More information at https://docs.docker.com/go/deprecated-image-specs/",
  );
}

function parseDocument(descriptor: Descriptor, bytes: Uint8Array): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw invalid(descriptor, (error as Error).message);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw invalid(descriptor, "not a JSON object");
  }
  return document as Record<string, unknown>;
}

function checked(within: Descriptor, entry: unknown): Descriptor {
  const { digest, size, mediaType } = (entry ?? {}) as { digest?: unknown; size?: unknown; mediaType?: unknown };
  if (typeof digest !== "string" || !isDigest(digest)) throw invalid(within, "descriptor without a valid digest");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(within, `invalid size ${String(size)} in ${digest}`);
  }
  return { ...(entry as Descriptor), digest, size, mediaType: typeof mediaType === "string" ? mediaType : "" };
}

function typeOf(document: Record<string, unknown>): string {
  return typeof document["mediaType"] === "string" ? document["mediaType"] : "";
}

function invalid(descriptor: Descriptor, reason: string): Error {
  return sourceError(`manifest: invalid desc ${descriptor.digest}: ${reason}`);
}
