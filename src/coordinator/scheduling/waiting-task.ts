import type { BuildShare } from "../../core/values/build-share.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { Resources } from "../../core/values/resources.ts";

/** A task that could run now, were there an agent for it. */
export interface WaitingTask {
  /** Unique in the coordinator. */
  readonly id: string;
  readonly share: BuildShare;
  /** Names the set of agents that may run it; equal names, equal sets. */
  readonly requirement: string;
  readonly demand: Resources;
  /** Expected seconds from its start to the end of the build's graph: the largest comes first (HEFT's upward rank). */
  readonly rank: number;
  readonly expectedSeconds: number;
  /** Layers it will open. */
  readonly layers: readonly LayerId[];
  /** Now: bytes beside the layers which some agents have and others would copy, as of cache mounts and local contexts. */
  readonly warm: () => readonly WarmData[];
  /** Agents that come last: the task failed there. */
  readonly avoid: ReadonlySet<string>;
}

/** Something worth `bytes` to whoever has it. */
export interface WarmData {
  readonly bytes: number;
  readonly holders: ReadonlySet<string>;
}

/** What is known of layers; a view of the catalog. */
export interface LayerLocations {
  /** Unpacked; 0 while unknown. */
  bytes(layer: LayerId): number;
  holders(layer: LayerId): ReadonlySet<string>;
}

/** A step takes a slot; other tasks take nothing and wait for nobody. */
export function isStep(task: WaitingTask): boolean {
  return task.demand.slots > 0;
}
