import type { PruneOptions } from "./agent.ts";
import type { LayerId } from "./layer.ts";

/** What a coordinator asks an agent on its control subject; answered with UsageRecords. */
export type AgentControlRequest =
  | { readonly op: "usage" }
  | {
      readonly op: "prune";
      readonly options: PruneOptions;
      /** Layers of running builds, which stay. */
      readonly inUse: readonly LayerId[];
    };
