import type { AgentRecord } from "../../core/values/agent.ts";
import type { CacheMountInfo } from "../../core/values/cache-mount.ts";
import type { LayerInfo } from "../../core/values/layer.ts";

/** Chooses an agent for a task. Pure: everything it knows is in its arguments. */
export interface Placement {
  /** @returns undefined when none of the candidates can take the task now */
  choose(request: PlacementRequest, candidates: readonly Candidate[]): AgentRecord | undefined;
}

export interface PlacementRequest {
  /** Layers the task will open. */
  readonly layers: readonly LayerInfo[];
  /** Cache mounts of the task, with holders that live. */
  readonly cacheMounts: readonly CacheMountInfo[];
  /** How long the task has waited for an agent. */
  readonly waitedMs: number;
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
/** A warm local context is worth about this much waiting. */
const affinitySeconds = 3;
/** What a layer of unknown size is taken for. */
const unknownLayerBytes = 32e6;
/** What a cache mount of unknown size is taken for. */
const unknownMountBytes = 128e6;
/** The longest that a step waits for the slot of an agent which has its cache mounts. */
const mountPatienceSeconds = 5;

/**
 * Earliest finish: time for missing input bytes plus time behind what already runs there. An agent without a free slot is no
 * choice for a step: waiting work goes to whoever is idle first. Only for a cache mount that a busy agent has does a step wait,
 * as long as the copy would take: at worst that doubles what it costs.
 */
export class EarliestFinishPlacement implements Placement {
  choose(request: PlacementRequest, candidates: readonly Candidate[]): AgentRecord | undefined {
    let best: { readonly agent: AgentRecord; readonly cost: number } | undefined;
    for (const candidate of candidates) {
      if (request.needsSlot && candidate.busySlots >= candidate.agent.slots) continue;
      const cost = this.#cost(request, candidate);
      if (best === undefined || cost < best.cost) best = { agent: candidate.agent, cost };
    }
    return best !== undefined && this.#isWorthWaiting(request, best.agent, candidates) ? undefined : best?.agent;
  }

  #isWorthWaiting(request: PlacementRequest, best: AgentRecord, candidates: readonly Candidate[]): boolean {
    const waited = request.waitedMs / 1000;
    if (!request.needsSlot || request.cacheMounts.length === 0 || waited >= mountPatienceSeconds) return false;
    const copy = mountSeconds(request, best);
    return candidates.some(
      ({ agent, busySlots }) => busySlots >= agent.slots && copy - mountSeconds(request, agent) > waited,
    );
  }

  #cost(request: PlacementRequest, { agent, busySlots, tasks }: Candidate): number {
    const missing = request.layers.filter((layer) => !layer.holders.includes(agent.id));
    const bytes = missing.reduce((sum, layer) => sum + (layer.sizeBytes || unknownLayerBytes), 0);
    const queue = ((busySlots / agent.slots + tasks / (16 * agent.slots)) * expectedTaskSeconds) / 2;
    const affinity = request.preferredAgent === agent.id ? -affinitySeconds : 0;
    return bytes / bandwidthBytesPerSecond + mountSeconds(request, agent) + queue + affinity;
  }
}

/** Time to copy the newest versions that the agent lacks; what nobody has costs nobody anything. */
function mountSeconds({ cacheMounts }: PlacementRequest, agent: AgentRecord): number {
  const bytes = cacheMounts.reduce((sum, { holders }) => {
    const [newest] = holders;
    const isWarm = holders.some(({ agentId, version }) => agentId === agent.id && version === newest?.version);
    return newest === undefined || isWarm ? sum : sum + (newest.sizeBytes || unknownMountBytes);
  }, 0);
  return bytes / bandwidthBytesPerSecond;
}
