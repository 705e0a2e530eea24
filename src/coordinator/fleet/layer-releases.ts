import { subjects } from "../../bus/index.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { LayerReleaseRequest, LayersDropped } from "../../core/values/agent-control.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { LayerCatalog } from "./layer-catalog.ts";

export interface LayerReleasesOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly catalog: LayerCatalog;
  /** A build that runs here counts on the layer. */
  readonly isHeld: (id: LayerId) => boolean;
  /** Drops layers that cannot be had any more, and the cached results that stand on them. */
  readonly forgetLayers: (gone: ReadonlySet<LayerId>) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Lets agents remove layers. What no build here holds is given up in the same moment, so that none begins to count on it
 * while the agent removes it; when it is gone from the last agent, the catalog and the cached results forget it.
 */
export class LayerReleases implements Disposable {
  readonly #options: LayerReleasesOptions;
  readonly #subscriptions: readonly Disposable[];

  constructor(options: LayerReleasesOptions) {
    this.#options = options;
    const { bus, coordinatorId } = options;
    this.#subscriptions = [
      bus.subscribe(subjects.layerRelease(coordinatorId), (message) => {
        message.respond(encode(this.#release(decode<LayerReleaseRequest>(message.data))));
      }),
      bus.subscribe(subjects.layersDropped, (message) => {
        this.#dropped(decode<LayersDropped>(message.data)).catch((error) =>
          options.logger.warn("cannot forget layers", { error: String(error) }),
        );
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  /** @returns those that must stay */
  #release({ agentId, ids }: LayerReleaseRequest): readonly LayerId[] {
    const { isHeld, catalog } = this.#options;
    const held = ids.filter((id) => isHeld(id));
    const keep = new Set(held);
    catalog.hide(
      agentId,
      ids.filter((id) => !keep.has(id)),
    );
    return held;
  }

  async #dropped({ agentId, ids, kept = [], missing = false }: LayersDropped): Promise<void> {
    const { catalog, forgetLayers } = this.#options;
    if (missing) return void (await catalog.dropHolder(ids, agentId));
    catalog.unhide(agentId, kept);
    const gone = await catalog.dropHolder(ids, agentId);
    catalog.unhide(agentId, ids);
    if (gone.length > 0) await forgetLayers(new Set(gone));
  }
}
