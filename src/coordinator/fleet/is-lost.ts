import { LayerLostError } from "../../core/errors/layer-lost-error.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LayerCatalog } from "./layer-catalog.ts";

/** True when an error about lost layers names one of the ref's, by whatever name, or names none at all. */
export function isLost(error: Error, { layers }: Ref, catalog: LayerCatalog): boolean {
  const lost = new Set(LayerLostError.layersOf(error));
  return lost.size === 0 || layers.some((id) => catalog.namesOf(catalog.current(id)).some((name) => lost.has(name)));
}
