import type { Digest } from "./digest.ts";
import type { LayerId, LayerInfo } from "./layer.ts";
import { idOf } from "./random-id.ts";

/**
 * Name of a layer that comes from outside, the same whoever finds it. The blob is part of it: a document that claims a chain id
 * for other bytes names another layer and so cannot spoil the one that others use.
 * @param chainId of the layer with all below it (OCI image-spec config.md)
 */
export function pulledLayerId(chainId: Digest, blob: Digest): LayerId {
  return idOf(`layer ${chainId} ${blob}`) as LayerId;
}

/** Each of the layers of an image stands on the one before it. */
export function withParents(layers: readonly LayerInfo[]): readonly LayerInfo[] {
  return layers.map((layer, place) => {
    const parent = layers[place - 1]?.id;
    return parent === undefined ? layer : { ...layer, parent };
  });
}
