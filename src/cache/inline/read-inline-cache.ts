import type { CacheSource } from "../../core/seams/remote-cache.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { isDigest } from "../../core/values/digest.ts";
import { isIndexType } from "../../core/values/media-type.ts";
import { parseCacheRecords } from "../cache-config.ts";
import { parseCacheJson } from "../cache-json.ts";
import { type CacheManifest, parseCacheManifest } from "../cache-manifest.ts";
import { ImportedCache } from "../imported-cache.ts";
import { createdAtAnnotation, descriptionAnnotation, diffIdAnnotation } from "../layer-annotations.ts";

/** Field of an image config that holds the records, as base64 of JSON (map g3). */
export const inlineCacheField = "moby.buildkit.cache.v0";

/** What an image may be at most: its config with the cache inside. */
const maxConfigBytes = 8 << 20;
const maxIndexDepth = 4;

interface ImageConfig {
  readonly rootfs?: { readonly diff_ids?: readonly string[] | null };
  readonly history?:
    | readonly { readonly created?: string; readonly created_by?: string; readonly empty_layer?: boolean }[]
    | null;
  readonly [inlineCacheField]?: string;
}

/** The caches inside an image, or the images of an index; images without one are passed over. @throws BuildError */
export async function readInlineCache(
  source: CacheSource,
  manifest: CacheManifest,
  signal: AbortSignal,
  depth = 0,
): Promise<readonly ImportedCache[]> {
  if (manifest.imageConfig !== undefined) {
    const cache = await readImage(source, manifest.imageConfig, manifest.layers, signal);
    return cache === undefined ? [] : [cache];
  }
  const caches = await Promise.all(
    manifest.manifests.map(async (entry) => {
      if (entry.size > maxConfigBytes || (isIndexType(entry.mediaType) && depth >= maxIndexDepth)) return [];
      const inner = parseCacheManifest(await source.read(entry, signal));
      return readInlineCache(source, inner, signal, depth + 1);
    }),
  );
  return caches.flat();
}

async function readImage(
  source: CacheSource,
  configDescriptor: Descriptor,
  layers: readonly Descriptor[],
  signal: AbortSignal,
): Promise<ImportedCache | undefined> {
  if (layers.length === 0 || configDescriptor.size > maxConfigBytes) return undefined;
  const config = (parseCacheJson(await source.read(configDescriptor, signal), "image config") ?? {}) as ImageConfig;
  const diffIds = config.rootfs?.diff_ids ?? [];
  const cache = config[inlineCacheField];
  // Configs of attestations have no root file system either.
  if (typeof cache !== "string" || diffIds.length !== layers.length || !diffIds.every(isDigest)) return undefined;
  const history = (config.history ?? []).filter((entry) => entry.empty_layer !== true);
  const blobs = layers.map((layer, place): Descriptor => {
    const { created = "", created_by: createdBy = "" } = history[place] ?? {};
    const annotations = {
      ...layer.annotations,
      ...(created === "" ? {} : { [createdAtAnnotation]: created }),
      ...(createdBy === "" ? {} : { [descriptionAnnotation]: createdBy }),
      [diffIdAnnotation]: diffIds[place] ?? "",
    };
    return { ...layer, annotations };
  });
  return new ImportedCache(
    {
      layers: blobs.map(({ digest }, place) => ({ blob: digest, parent: place - 1 })),
      records: parseCacheRecords(Buffer.from(cache, "base64")),
    },
    new Map(blobs.map((blob) => [blob.digest, blob])),
  );
}
