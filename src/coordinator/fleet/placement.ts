import type { AgentRecord } from "../../core/values/agent.ts";
import type { LayerInfo } from "../../core/values/layer.ts";

/** Chooses an agent for a task. Pure: everything it knows is in its arguments. */
export interface Placement {
  /** @returns undefined when none of the candidates can take the task now */
  choose(request: PlacementRequest, candidates: readonly Candidate[]): AgentRecord | undefined;
}

export interface PlacementRequest {
  /** Layers the task will open. */
  readonly layers: readonly LayerInfo[];
  /** The task occupies a slot (exec). */
  readonly needsSlot: boolean;
  /** Agent which served the same affinity key last. */
  readonly preferredAgent?: string;
}

export interface Candidate {
  readonly agent: AgentRecord;
  /** Exec tasks given to it by this coordinator and not finished. */
  readonly busySlots: number;
  /** All tasks given to it and not finished. */
  readonly tasks: number;
}

/** Assumed until measured. */
const bandwidthBytesPerSecond = 200e6;
const expectedTaskSeconds = 1;
/** A warm local context or cache mount is worth about this much waiting. */
const affinitySeconds = 3;
/** What a layer of unknown size is taken for. */
const unknownLayerBytes = 32e6;

/**
 * Earliest finish: time for missing input bytes plus time behind what already runs there. An agent without a free slot is no
 * choice for a step: waiting work goes to whoever is idle first.
 */
export class EarliestFinishPlacement implements Placement {
  choose(request: PlacementRequest, candidates: readonly Candidate[]): AgentRecord | undefined {
    let best: { readonly agent: AgentRecord; readonly cost: number } | undefined;
    for (const candidate of candidates) {
      if (request.needsSlot && candidate.busySlots >= candidate.agent.slots) continue;
      const cost = this.#cost(request, candidate);
      if (best === undefined || cost < best.cost) best = { agent: candidate.agent, cost };
    }
    return best?.agent;
  }

  #cost(request: PlacementRequest, { agent, busySlots, tasks }: Candidate): number {
    const missing = request.layers.filter((layer) => !layer.holders.includes(agent.id));
    const bytes = missing.reduce((sum, layer) => sum + (layer.sizeBytes || unknownLayerBytes), 0);
    const queue = ((busySlots / agent.slots + tasks / (16 * agent.slots)) * expectedTaskSeconds) / 2;
    const affinity = request.preferredAgent === agent.id ? -affinitySeconds : 0;
    return bytes / bandwidthBytesPerSecond + queue + affinity;
  }
}
