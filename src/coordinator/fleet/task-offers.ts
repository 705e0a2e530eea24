import { subjects } from "../../bus/index.ts";
import { isInfrastructureError } from "../../core/errors/build-error.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { AgentRecord, TaskOfferReply } from "../../core/values/agent.ts";
import type { CacheMountUse } from "../../core/values/cache-mount.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { Resources } from "../../core/values/resources.ts";
import type { Task, TaskBody, TaskKind } from "../../core/values/task.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import type { LayerCatalog } from "./layer-catalog.ts";
import type { RunningTasks } from "./running-tasks.ts";
import type { TaskAttempt } from "./task-attempt.ts";

export interface TaskOffersOptions {
  readonly coordinatorId: string;
  /** AgentLink address agents can reach; read at each offer. */
  readonly agentLinkAddress: () => string;
  readonly bus: MessageBus;
  readonly logger: Logger;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly cacheMounts: FleetCacheMounts;
  readonly running: RunningTasks;
}

/** A task that looks for an agent. */
export interface TaskOffer<K extends TaskKind = TaskKind> {
  readonly kind: K;
  readonly body: TaskBody<K>;
  /** Layers that the body names. */
  readonly ids: readonly LayerId[];
  readonly uses: readonly CacheMountUse[];
  readonly context: DispatchContext;
  readonly attempt: TaskAttempt;
  /** Opens its sessions. */
  readonly token: string;
  readonly demand: Resources;
  readonly step: string | undefined;
  /** To agents that have the step in hand, and to do nothing but share it. */
  readonly joins?: boolean;
}

const offerTimeoutMs = 2000;

/** Offers tasks to agents, with all that these must know to run them. */
export class TaskOffers {
  readonly #options: TaskOffersOptions;

  constructor(options: TaskOffersOptions) {
    this.#options = options;
  }

  /** @returns false when the agent does not take it. @throws the signal's reason */
  async make<K extends TaskKind>(agent: AgentRecord, offer: TaskOffer<K>): Promise<boolean> {
    const { bus, logger, running } = this.#options;
    const { kind, attempt, context } = offer;
    try {
      const answer = await bus.request(subjects.agentTasks(agent.id), encode(this.#task(offer)), {
        timeoutMs: offerTimeoutMs,
        signal: context.signal,
      });
      const reply = decode<TaskOfferReply>(answer);
      if (!reply.accepted) logger.debug("agent refused task", { agent: agent.id, kind, reason: reply.reason });
      return reply.accepted;
    } catch (error) {
      // Only the answer was lost: it ran already.
      if (attempt.ended) return true;
      // The offer may have arrived: it is taken back, and what comes of it counts no more.
      void running.cancel(agent.id, attempt.taskId, attempt.leaseId);
      attempt.renewLease();
      context.signal.throwIfAborted();
      if (!isInfrastructureError(error)) throw error;
      logger.debug("offer failed", { agent: agent.id, kind, error: String(error) });
      return false;
    }
  }

  #task<K extends TaskKind>(offer: TaskOffer<K>): Task<K> {
    const { kind, body, ids, uses, context, attempt, token, demand, step, joins = false } = offer;
    const { coordinatorId, agentLinkAddress, registry, catalog, cacheMounts } = this.#options;
    // Read anew: others may have fetched or made them while this task waited.
    const layers = ids.map((id) => catalog.require(id));
    const mounts = cacheMounts.infos(uses);
    const ofMounts = mounts.flatMap((mount) => mount.holders.map(({ agentId }) => agentId));
    const holders = new Set([...layers.flatMap((info) => info.holders), ...ofMounts]);
    const peers: Record<string, string> = {};
    for (const holder of holders) {
      const url = registry.get(holder)?.blobUrl;
      if (url !== undefined) peers[holder] = url;
    }
    return {
      id: attempt.taskId,
      leaseId: attempt.leaseId,
      kind,
      body,
      layers,
      cacheMounts: mounts,
      peers,
      sessionIds: context.sessions.ids,
      demand,
      coordinator: { id: coordinatorId, address: agentLinkAddress(), token },
      ...(step === undefined ? {} : { step, joins }),
      ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
    };
  }
}
