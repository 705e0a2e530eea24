import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { CacheConfig } from "./cache-config.ts";
import { checkCacheConfig } from "./check-cache-config.ts";

/** A record as a key storage takes it; results are named, not resolved. */
export interface ImportedCacheRecord {
  readonly digest: Digest;
  readonly inputs: CacheConfig["records"][number]["inputs"];
  readonly results: readonly { readonly id: string; readonly createdAt: number }[];
}

/** A cache as found: its records, and the layers of each result when they are asked for. */
export class ImportedCache {
  readonly records: readonly ImportedCacheRecord[];
  readonly #config: CacheConfig;
  readonly #blobs: ReadonlyMap<Digest, Descriptor>;
  readonly #chains = new Map<string, readonly number[]>();

  /**
   * @param blobs what the manifest offers; a result that needs another blob is left out
   * @throws BuildError InvalidArgument for references that lead nowhere or in circles
   */
  constructor(config: CacheConfig, blobs: ReadonlyMap<Digest, Descriptor>) {
    checkCacheConfig(config);
    this.#config = config;
    this.#blobs = blobs;
    const whole = this.#wholeLayers();
    this.records = config.records.map(({ digest, inputs, results, chains }, place) => {
      const named: { readonly id: string; readonly createdAt: number }[] = [];
      for (const { layer, createdAt } of results) if (whole[layer]) named.push({ id: `layer-${layer}`, createdAt });
      for (const [i, { layers, createdAt }] of chains.entries()) {
        if (layers.length === 0 || !layers.every((layer) => this.#blob(layer) !== undefined)) continue;
        const id = `chain-${place}-${i}`;
        this.#chains.set(id, layers);
        named.push({ id, createdAt });
      }
      return { digest, inputs, results: named };
    });
  }

  /** Layers of a result, bottom first; undefined for an id that no record has. */
  layers(resultId: string): readonly Descriptor[] | undefined {
    const top = /^layer-(\d+)$/.exec(resultId)?.[1];
    const places = top === undefined ? this.#chains.get(resultId) : this.#stack(Number(top));
    const found = places?.map((place) => this.#blob(place));
    return found?.every((blob) => blob !== undefined) ? found : undefined;
  }

  #stack(top: number): readonly number[] {
    const places: number[] = [];
    for (let place = top; place !== -1; place = this.#config.layers[place]?.parent ?? -1) places.push(place);
    return places.reverse();
  }

  #blob(place: number): Descriptor | undefined {
    const layer = this.#config.layers[place];
    return layer === undefined ? undefined : this.#blobs.get(layer.blob);
  }

  /** By layer: it and all below it have blobs. Linear: the way up from each layer ends where one is known. */
  #wholeLayers(): readonly boolean[] {
    const { layers } = this.#config;
    const whole: (boolean | undefined)[] = [];
    for (let start = 0; start < layers.length; start++) {
      const path: number[] = [];
      let place = start;
      while (place !== -1 && whole[place] === undefined) {
        path.push(place);
        place = layers[place]?.parent ?? -1;
      }
      let below = place === -1 || whole[place] === true;
      for (const next of path.reverse()) {
        below &&= this.#blob(next) !== undefined;
        whole[next] = below;
      }
    }
    return whole.map((entry) => entry === true);
  }
}
