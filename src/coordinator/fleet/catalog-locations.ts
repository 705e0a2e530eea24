import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { LayerLocations } from "../scheduling/waiting-task.ts";
import type { LayerCatalog } from "./layer-catalog.ts";

const nobody: ReadonlySet<string> = new Set();

/** What the catalog knows, as the scheduler asks for it. */
export class CatalogLocations implements LayerLocations {
  readonly #catalog: Pick<LayerCatalog, "get">;
  /** A record is replaced when anything about it changes. */
  readonly #holders = new WeakMap<LayerInfo, ReadonlySet<string>>();

  constructor(catalog: Pick<LayerCatalog, "get">) {
    this.#catalog = catalog;
  }

  bytes(layer: LayerId): number {
    return this.#catalog.get(layer)?.sizeBytes ?? 0;
  }

  holders(layer: LayerId): ReadonlySet<string> {
    const info = this.#catalog.get(layer);
    if (info === undefined) return nobody;
    const holders = this.#holders.get(info) ?? new Set(info.holders);
    this.#holders.set(info, holders);
    return holders;
  }
}
