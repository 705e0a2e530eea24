import type { HandedOver } from "../../core/values/agent-control.ts";
import type { CacheMountHandover } from "./cache-mount-handover.ts";
import type { LayerHandover } from "./layer-handover.ts";

/** Gives what only one agent has to others, before it leaves: results first, since making them again costs more. */
export class AgentHandover {
  readonly #layers: Pick<LayerHandover, "run">;
  readonly #cacheMounts: Pick<CacheMountHandover, "run">;

  constructor(layers: Pick<LayerHandover, "run">, cacheMounts: Pick<CacheMountHandover, "run">) {
    this.#layers = layers;
    this.#cacheMounts = cacheMounts;
  }

  /** @throws the signal's reason */
  async run(agentId: string, signal: AbortSignal): Promise<HandedOver> {
    const layers = await this.#layers.run(agentId, signal);
    return { ...layers, cacheMounts: await this.#cacheMounts.run(agentId, signal) };
  }
}
