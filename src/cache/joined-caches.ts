import type { Descriptor } from "../core/values/descriptor.ts";
import type { ImportedCache, ImportedCacheRecord } from "./imported-cache.ts";

/** Several caches as one: those of the platforms of an image. */
export interface JoinedCaches {
  /** References are places in this list; result ids are unique in it. */
  readonly records: readonly ImportedCacheRecord[];
  /** As ImportedCache.layers. */
  layers(resultId: string): readonly Descriptor[] | undefined;
}

export function joinCaches(caches: readonly ImportedCache[]): JoinedCaches {
  let first = 0;
  const records = caches.flatMap((cache, number) => {
    const offset = first;
    first += cache.records.length;
    return cache.records.map(({ digest, inputs, results }) => ({
      digest,
      inputs: inputs.map((links) => links.map(({ link, selector }) => ({ link: link + offset, selector }))),
      results: results.map(({ id, createdAt }) => ({ id: `${number}/${id}`, createdAt })),
    }));
  });
  return {
    records,
    layers: (resultId) => {
      const slash = resultId.indexOf("/");
      return caches[Number(resultId.slice(0, slash))]?.layers(resultId.slice(slash + 1));
    },
  };
}
