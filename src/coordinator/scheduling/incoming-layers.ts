import type { LayerId } from "../../core/values/layer.ts";

/** Layers on their way to agents: tasks that were given out bring them there. */
export class IncomingLayers {
  /** Layer → agent → tasks that open it there. */
  readonly #tasks = new Map<LayerId, Map<string, number>>();

  add(layers: readonly LayerId[], agentId: string): void {
    for (const layer of layers) {
      const agents = this.#tasks.get(layer) ?? new Map<string, number>();
      this.#tasks.set(layer, agents);
      agents.set(agentId, (agents.get(agentId) ?? 0) + 1);
    }
  }

  remove(layers: readonly LayerId[], agentId: string): void {
    for (const layer of layers) {
      const agents = this.#tasks.get(layer);
      const left = (agents?.get(agentId) ?? 1) - 1;
      if (left > 0) agents?.set(agentId, left);
      else agents?.delete(agentId);
      if (agents?.size === 0) this.#tasks.delete(layer);
    }
  }

  /** Ids of the agents that expect the layer. */
  agents(layer: LayerId): Pick<ReadonlyMap<string, unknown>, "has" | "keys"> {
    return this.#tasks.get(layer) ?? nobody;
  }
}

const nobody = new Map<string, never>();
