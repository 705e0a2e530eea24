import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { isDigest } from "../core/values/digest.ts";
import { isIndexType, isManifestType, layerMediaType, MediaType } from "../core/values/media-type.ts";
import { goJson } from "../util/go-json.ts";
import { cacheConfigMediaType } from "./cache-config.ts";
import { parseCacheJson, shown } from "./cache-json.ts";

/** How config and layers are tied together (map g2). */
export type CacheManifestForm = "image-manifest" | "oci-index" | "docker-index";

const mediaTypes: Readonly<Record<CacheManifestForm, string>> = {
  "image-manifest": MediaType.ociManifest,
  "oci-index": MediaType.ociIndex,
  "docker-index": MediaType.dockerIndex,
};

/** The document as BuildKit writes it (cache/remotecache/export.go). */
export function encodeCacheManifest(
  form: CacheManifestForm,
  config: Descriptor,
  layers: readonly Descriptor[],
): { readonly mediaType: string; readonly data: Uint8Array } {
  const mediaType = mediaTypes[form];
  const shown = layers.map((layer) =>
    ordered({ ...layer, mediaType: layerMediaType(layer.mediaType, form !== "docker-index") }),
  );
  const document =
    form === "image-manifest"
      ? { schemaVersion: 2, mediaType, config: ordered(config), layers: shown }
      : { schemaVersion: 2, mediaType, manifests: [...shown, ordered(config)] };
  return { mediaType, data: new TextEncoder().encode(goJson(document)) };
}

/** What a document found at a cache's reference says. */
export interface CacheManifest {
  readonly mediaType: string;
  /** Absent when it is an image or index without a cache of its own: there may be an inline cache. */
  readonly config?: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly imageConfig?: Descriptor;
  /** Manifests of an index. */
  readonly manifests: readonly Descriptor[];
}

/** @throws BuildError InvalidArgument */
export function parseCacheManifest(bytes: Uint8Array): CacheManifest {
  const document = parse(bytes);
  const declared = typeof document["mediaType"] === "string" ? document["mediaType"] : "";
  const { config, layers, manifests } = document;
  const isManifest = config !== undefined || layers !== undefined;
  if (isManifest && manifests !== undefined) throw invalid("invalid ambiguous manifest and manifest list");
  if (isManifest ? isIndexType(declared) : isManifestType(declared)) {
    throw invalid("mediaType in manifest does not match manifest contents");
  }
  if (isManifest) {
    const imageConfig = config === undefined ? undefined : descriptor(config);
    return {
      mediaType: declared || MediaType.dockerManifest,
      ...(imageConfig === undefined ? {} : { imageConfig }),
      ...(imageConfig?.mediaType === cacheConfigMediaType ? { config: imageConfig } : {}),
      layers: list(layers).map(descriptor),
      manifests: [],
    };
  }
  const all = list(manifests).map(descriptor);
  const cacheConfig = all.findLast(({ mediaType }) => mediaType === cacheConfigMediaType);
  return {
    mediaType: declared || MediaType.dockerIndex,
    ...(cacheConfig === undefined ? {} : { config: cacheConfig }),
    layers: all.filter(({ mediaType }) => mediaType !== cacheConfigMediaType),
    manifests: all,
  };
}

/** Fields in Go's order, annotations sorted. */
export function ordered({ mediaType, digest, size, urls, annotations }: Descriptor): Descriptor {
  const sorted = Object.entries(annotations ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    mediaType,
    digest,
    size,
    ...(urls === undefined || urls.length === 0 ? {} : { urls }),
    ...(sorted.length === 0 ? {} : { annotations: Object.fromEntries(sorted) }),
  };
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  const document = parseCacheJson(bytes, "cache manifest");
  if (typeof document !== "object" || document === null || Array.isArray(document)) throw invalid("not an object");
  return document as Record<string, unknown>;
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid("layers or manifests are no list");
  return value;
}

function descriptor(value: unknown): Descriptor {
  const { mediaType, digest, size, urls, annotations } = (value ?? {}) as Record<string, unknown>;
  if (!isText(digest) || !isDigest(digest)) throw invalid("descriptor without a valid digest");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`invalid size ${shown(size)} in ${digest}`);
  }
  const texts = Object.entries(typeof annotations === "object" && annotations !== null ? annotations : {})
    .filter((entry): entry is [string, string] => isText(entry[0]) && isText(entry[1]))
    .slice(0, maxTexts);
  return {
    mediaType: isText(mediaType) ? mediaType : "",
    digest,
    size,
    ...(Array.isArray(urls) ? { urls: urls.filter(isText).slice(0, maxTexts) } : {}),
    ...(texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) }),
  };
}

/** What a descriptor says goes into the layer catalog: texts beyond any use are passed over. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= maxTextLength;
}

const maxTextLength = 16 << 10;
const maxTexts = 32;

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, `invalid cache manifest: ${message}`);
}
