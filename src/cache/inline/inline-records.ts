import type { Digest } from "../../core/values/digest.ts";
import { type CacheConfig, type CacheConfigRecord, encodeCacheRecords } from "../cache-config.ts";

/**
 * Records for an image config, pointing at the image's own layers by place (BuildKit cache/remotecache/inline/inline.go).
 * @param imageLayers blobs of the image, bottom first; the config names no others
 * @returns undefined when no result lies in the image
 */
export function inlineRecords(config: CacheConfig, imageLayers: readonly Digest[]): Uint8Array | undefined {
  if (config.layers.length === 0) return undefined;
  const places = new Map(imageLayers.map((digest, place) => [digest, place]));
  const records = config.records.map((record): CacheConfigRecord => {
    const results: CacheConfigRecord["results"][number][] = [];
    const chains: CacheConfigRecord["chains"][number][] = [];
    for (const { layer, createdAt } of record.results) {
      const blobs = stack(config, layer);
      if (blobs.every((digest, place) => imageLayers[place] === digest)) {
        results.push({ layer: blobs.length - 1, createdAt });
        continue;
      }
      const layers = blobs.map((digest) => places.get(digest) ?? -1);
      if (!layers.includes(-1)) chains.push({ layers, createdAt: 0 });
    }
    return { ...record, results, chains };
  });
  return encodeCacheRecords(records);
}

/** Blobs from the bottom up to a layer. */
function stack({ layers }: CacheConfig, top: number): readonly Digest[] {
  const blobs: Digest[] = [];
  for (let layer = layers[top]; layer !== undefined; layer = layers[layer.parent]) blobs.push(layer.blob);
  return blobs.reverse();
}
