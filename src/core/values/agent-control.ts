import type { PruneOptions, UsageRecord } from "./agent.ts";
import type { Digest } from "./digest.ts";
import type { LayerId } from "./layer.ts";

/** A coordinator's heartbeat. */
export interface CoordinatorBeat {
  readonly id: string;
  /** The last one: it runs no build any more. */
  readonly leaving?: boolean;
}

/** An agent is out of the fleet, until its process starts anew. */
export interface AgentEviction {
  readonly agentId: string;
  readonly epoch: string;
  readonly reason: string;
}

/**
 * What an agent asks each coordinator before it removes layers; answered with the ids that running builds hold. The others
 * count as gone from that agent until `LayersDropped` says more, at most for `releaseTermMs`.
 */
export interface LayerReleaseRequest {
  readonly agentId: string;
  readonly ids: readonly LayerId[];
}

/** How long a coordinator's yes holds. */
export const releaseTermMs = 30_000;

/** What became of layers that an agent wanted to remove. */
export interface LayersDropped {
  readonly agentId: string;
  /** Gone. */
  readonly ids: readonly LayerId[];
  /** Still there. */
  readonly kept?: readonly LayerId[];
  /** Found missing, not removed by agreement: builds may count on the layers, and what is known of them stays. */
  readonly missing?: boolean;
}

/** A draining agent wants others to have what the cache counts on and only it has. */
export interface HandoverRequest {
  readonly agentId: string;
}

/** Not done: to be asked again at once. */
export type HandoverReply = { readonly done: false } | ({ readonly done: true } & HandedOver);

/** What became of that of which a draining agent had the only copy. */
export interface HandedOver {
  readonly layers: number;
  /** Unpacked. */
  readonly bytes: number;
  /** Layers that nobody else has now. */
  readonly left: number;
  /** Cache mounts that another agent has a copy of now. */
  readonly cacheMounts: number;
}

/** What a coordinator asks an agent on its control subject; answered with what AgentControlReplies says. */
export type AgentControlRequest =
  | { readonly op: "usage" }
  | {
      readonly op: "prune";
      readonly options: PruneOptions;
      /** Layers of running builds, which stay. */
      readonly inUse: readonly LayerId[];
    }
  | { readonly op: "drop"; readonly ids: readonly LayerId[] }
  /** Which files stand behind a content digest (contenthash/content-listing.ts). */
  | { readonly op: "listing"; readonly digest: Digest };

export interface AgentControlReplies {
  readonly usage: readonly UsageRecord[];
  /** What was removed. */
  readonly prune: readonly UsageRecord[];
  readonly drop: readonly UsageRecord[];
  /** `bytes` is absent when the agent does not have it. */
  readonly listing: { readonly bytes?: Uint8Array };
}
