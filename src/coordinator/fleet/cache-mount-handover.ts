import type { Logger } from "../../core/seams/logger.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import { scratchRef } from "../../core/values/layer.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import { takersOf } from "./handover-takers.ts";

export interface CacheMountHandoverOptions {
  readonly registry: Pick<AgentRegistry, "agents" | "get">;
  readonly cacheMounts: Pick<FleetCacheMounts, "soleOf">;
  readonly dispatcher: TaskDispatcher;
  /** Of nobody. */
  readonly sessions: SessionGroup;
  readonly logger: Logger;
}

const noProgress = { status: () => {}, log: () => {}, warn: () => {} };

/** Gives cache mounts whose newest version only one agent has to another one, before it leaves: one after the other. */
export class CacheMountHandover {
  readonly #options: CacheMountHandoverOptions;

  constructor(options: CacheMountHandoverOptions) {
    this.#options = options;
  }

  /** @returns how many were copied. @throws the signal's reason */
  async run(agentId: string, signal: AbortSignal): Promise<number> {
    const { cacheMounts, registry } = this.#options;
    let copied = 0;
    for (const { key } of cacheMounts.soleOf(agentId, (id) => registry.get(id)?.draining === false)) {
      if (await this.#copy(key, agentId, signal)) copied++;
    }
    return copied;
  }

  async #copy(key: string, agentId: string, signal: AbortSignal): Promise<boolean> {
    const { registry, dispatcher, sessions, logger } = this.#options;
    // Nobody uses it meanwhile who would have to be locked out: who has the directory waits for steps that do.
    const use = { id: key, key, nested: false, sharing: "shared" } as const;
    for (const taker of takersOf(key, registry, agentId)) {
      const context = { signal, sessions, progress: noProgress, constraints: [`id==${taker}`] };
      try {
        const { cacheMounts } = await dispatcher.run("materialize", { ref: scratchRef, cacheMounts: [use] }, context);
        if ((cacheMounts ?? []).length > 0) return true;
      } catch (error) {
        signal.throwIfAborted();
        logger.warn("cache mount is not handed over", { key, taker, error: String(error) });
      }
    }
    return false;
  }
}
