import { sha256 } from "../core/values/digest.ts";
import { layerMediaType } from "../core/values/media-type.ts";
import type { LayerBlob } from "../core/values/task.ts";
import type { CacheConfig, CacheConfigLink, CacheConfigRecord } from "./cache-config.ts";
import { type BlobChain, type ChainItem, chainItemId } from "./chain-item.ts";

interface PlacedItem {
  readonly item: ChainItem;
  readonly id: string;
  /** By input, sorted by the parents' ids. */
  readonly inputs: readonly (readonly { readonly parent: PlacedItem; readonly selector: string }[])[];
}

interface PlacedLayer {
  readonly blob: LayerBlob;
  /** Names the layer with all below it. */
  readonly id: string;
  readonly below: PlacedLayer | undefined;
}

/**
 * Turns a graph of records into lists (BuildKit cache/remotecache/v1/utils.go): layers by blob, records by digest and what
 * leads to them. Records to which nothing leads any more are left out.
 */
export function layoutCache(items: ReadonlySet<ChainItem>): {
  readonly config: CacheConfig;
  readonly layers: readonly LayerBlob[];
} {
  const placed = [...new Map([...placeItems(items).values()].map((item) => [item.id, item])).values()];
  placed.sort(compareItems);
  const recordPlaces = new Map(placed.map(({ id }, place) => [id, place]));
  const layersById = new Map<string, PlacedLayer>();
  const tops = new Map<PlacedItem, { readonly top: PlacedLayer; readonly createdAt: number }>();
  for (const item of placed) {
    const best = bestResult(item.item);
    const top = best === undefined ? undefined : placeLayers(best.content, layersById);
    if (best !== undefined && top !== undefined) tops.set(item, { top, createdAt: best.createdAt });
  }
  const layers = [...layersById.values()].sort(
    (a, b) => compare(a.blob.descriptor.digest, b.blob.descriptor.digest) || compare(a.id, b.id),
  );
  const layerPlaces = new Map(layers.map(({ id }, place) => [id, place]));
  const placeOf = (layer: PlacedLayer | undefined) => (layer === undefined ? -1 : (layerPlaces.get(layer.id) ?? -1));
  const records = placed.map((item): CacheConfigRecord => {
    const result = tops.get(item);
    return {
      digest: item.item.digest,
      inputs: item.inputs.map((links) =>
        links
          .map(({ parent, selector }): CacheConfigLink => ({ selector, link: recordPlaces.get(parent.id) ?? -1 }))
          .sort((a, b) => a.link - b.link || compare(a.selector, b.selector)),
      ),
      results: result === undefined ? [] : [{ layer: placeOf(result.top), createdAt: result.createdAt }],
      chains: [],
    };
  });
  return {
    config: {
      layers: layers.map(({ blob, below }) => ({ blob: blob.descriptor.digest, parent: placeOf(below) })),
      records,
    },
    layers: layers.map(({ blob }) => blob),
  };
}

/** Parents first, without recursion. An item whose input has lost all its links is not placed, nor what follows from it. */
function placeItems(items: ReadonlySet<ChainItem>): ReadonlyMap<ChainItem, PlacedItem> {
  const placed = new Map<ChainItem, PlacedItem>();
  const visited = new Set<ChainItem>();
  for (const start of items) {
    const open = [start];
    for (let item = open.at(-1); item !== undefined; item = open.at(-1)) {
      if (!visited.has(item)) {
        visited.add(item);
        for (const parents of item.parents)
          for (const parent of parents.keys()) if (!visited.has(parent)) open.push(parent);
        continue;
      }
      open.pop();
      if (placed.has(item)) continue;
      const one = placeItem(item, placed);
      if (one !== undefined) placed.set(item, one);
    }
  }
  return placed;
}

function placeItem(item: ChainItem, placed: ReadonlyMap<ChainItem, PlacedItem>): PlacedItem | undefined {
  const inputs = item.parents.map((parents) =>
    [...parents].flatMap(([record, selectors]) => {
      const parent = placed.get(record);
      return parent === undefined ? [] : Array.from(selectors, (selector) => ({ parent, selector }));
    }),
  );
  if (inputs.some((links) => links.length === 0)) return undefined;
  for (const links of inputs) {
    links.sort(
      (a, b) =>
        compare(a.parent.item.digest, b.parent.item.digest) ||
        compare(a.selector, b.selector) ||
        compare(a.parent.id, b.parent.id),
    );
  }
  return { item, id: chainItemId(item, (parent) => placed.get(parent)?.id ?? ""), inputs };
}

function compareItems(a: PlacedItem, b: PlacedItem): number {
  const first = compare(a.item.digest, b.item.digest) || a.inputs.length - b.inputs.length;
  if (first !== 0) return first;
  for (const [input, links] of a.inputs.entries()) {
    const others = b.inputs[input] ?? [];
    if (links.length !== others.length) return links.length - others.length;
    for (const [i, { parent, selector }] of links.entries()) {
      const order =
        compare(selector, others[i]?.selector ?? "") ||
        compare(parent.item.digest, others[i]?.parent.item.digest ?? "");
      if (order !== 0) return order;
    }
  }
  return compare(a.id, b.id);
}

/** The newest result that has layers. */
function bestResult(item: ChainItem) {
  return item.results
    .filter(({ content }) => content.length > 0)
    .sort((a, b) => b.createdAt - a.createdAt)
    .at(0);
}

function placeLayers(chain: BlobChain, known: Map<string, PlacedLayer>): PlacedLayer | undefined {
  let below: PlacedLayer | undefined;
  for (const { descriptor, ...cut } of chain) {
    const id: string = sha256(`${below?.id ?? ""} ${descriptor.digest}`);
    let placed = known.get(id);
    if (placed === undefined) {
      const mediaType = layerMediaType(descriptor.mediaType, true);
      const blob = { descriptor: { ...descriptor, mediaType }, ...cut };
      placed = { blob, id, below };
      known.set(id, placed);
    }
    below = placed;
  }
  return below;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
