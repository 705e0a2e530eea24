import { randomBytes } from "node:crypto";
import { AgentLostError } from "../../core/errors/agent-lost-error.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { ProgressStatus } from "../../core/seams/progress.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { TaskBody, TaskKind, TaskResult } from "../../core/values/task.ts";
import { inSpan } from "../../telemetry/index.ts";
import { withSignal } from "../../util/abort.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { HeldLocks } from "./cache-mount-locks.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import type { FleetScheduler, Ticket } from "./fleet-scheduler.ts";
import type { LayerCatalog } from "./layer-catalog.ts";
import type { LayerOrigins } from "./layer-origins.ts";
import { Lineage } from "./lineage.ts";
import { missingPlatform } from "./requirement.ts";
import { RunningTasks } from "./running-tasks.ts";
import { sessionsOfTask } from "./sessions-of-task.ts";
import { sharedStep } from "./shared-step.ts";
import { TaskAttempt } from "./task-attempt.ts";
import { cacheMountsOfTask, layersOfTask, withLayers } from "./task-layers.ts";
import { type TaskOffer, TaskOffers } from "./task-offers.ts";
import type { TaskPlanner } from "./task-planner.ts";
import type { TaskSessions } from "./task-sessions.ts";

export interface FleetDispatcherOptions {
  readonly coordinatorId: string;
  /** AgentLink address agents can reach; read at each dispatch. */
  readonly agentLinkAddress: () => string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly scheduler: FleetScheduler;
  readonly planner: TaskPlanner;
  readonly origins: LayerOrigins;
  /** False for a coordinator that has gone. */
  readonly coordinatorLives: (id: string) => boolean;
  readonly sessions: TaskSessions;
  readonly cacheMounts: FleetCacheMounts;
  /** Keeps agents from removing layers, until the answer is called; default: nothing does. */
  readonly holdLayers?: (ids: readonly LayerId[]) => () => void;
  /** The client is still connected; an empty id stands for any client. */
  readonly sessionIsLive: (id: string) => boolean;
  /** Told where each step ran; for progress, `explain` and the demo. */
  readonly onPlaced?: (placed: PlacedTask) => void;
  /** Told of unpacked bytes that tasks brought to their agents, from others and from outside. */
  readonly onFetched?: (bytes: number) => void;
}

export interface PlacedTask {
  readonly kind: TaskKind;
  readonly agentId: string;
  /** From the wish to the agent that took it. */
  readonly waitedMs: number;
  readonly vertex?: { readonly digest: string; readonly name: string };
}

/** How often infrastructure faults send a task to another agent (BuildBuddy's cap). */
const maxAttempts = 5;
/** First pause between attempts; doubles. The sum outlasts the six seconds in which a lost agent is noticed. */
const retryDelayMs = 500;
/** A shorter wait for an agent is not shown. */
const noticedWaitMs = 1500;

/** Kinds that run a frontend's processes: what was done once is not done twice. */
const neverRepeated: ReadonlySet<TaskKind> = new Set(["container"]);
/** Kinds that send to the client. Their runners call a fault infrastructure only while nothing was sent; a lost agent may have. */
const sendsToClient: ReadonlySet<TaskKind> = new Set(["export.archive", "export.files"]);

/**
 * Runs tasks on agents over the bus. A waiting task is not bound to an agent until one can take it now, so an idle agent, also
 * one that has just joined, takes what waits.
 */
export class FleetDispatcher implements TaskDispatcher, Disposable {
  readonly #options: FleetDispatcherOptions;
  readonly #lineage: Lineage;
  readonly #running: RunningTasks;
  readonly #offers: TaskOffers;

  constructor(options: FleetDispatcherOptions) {
    this.#options = options;
    const { coordinatorId, catalog, origins, clock, coordinatorLives } = options;
    this.#lineage = new Lineage({
      ...{ coordinatorId, catalog, origins, clock, coordinatorLives },
      isAvailable: (info) => this.isAvailable(info),
      rerun: async ({ kind, body, placing }, context) => {
        const { signal, progress, sessions, vertex, builds, work, traceparent } = context;
        const result = await this.run(kind, body, {
          ...{ signal, progress, sessions, ...placing },
          ...(vertex && { vertex }),
          ...(builds && { builds }),
          ...(work && { work: { rank: work.rank } }),
          ...(traceparent && { traceparent }),
        });
        return (result as TaskResult<"file">).layers;
      },
    });
    this.#running = new RunningTasks(options.bus, options.registry);
    this.#offers = new TaskOffers({ ...options, running: this.#running });
  }

  [Symbol.dispose](): void {
    this.#running[Symbol.dispose]();
  }

  /** Some living agent holds the layer, or a registry or a client who is still there has it. */
  isAvailable(info: LayerInfo): boolean {
    const origin = info.origins.some(({ kind, ...where }) =>
      kind === "registry" ? true : "sessionId" in where && this.#options.sessionIsLive(where.sessionId),
    );
    return origin || info.holders.some((holder) => this.#options.registry.get(holder) !== undefined);
  }

  /** It is available or can be made again. */
  canBeHad(info: LayerInfo): Promise<boolean> {
    return this.#lineage.canBeHad(info);
  }

  async run<K extends TaskKind>(kind: K, body: TaskBody<K>, context: DispatchContext): Promise<TaskResult<K>> {
    const avoided = new Set<string>();
    let roomier = false;
    for (let attempt = 1; ; attempt++) {
      context.signal.throwIfAborted();
      try {
        return await this.#attempt(kind, body, context, avoided);
      } catch (error) {
        context.signal.throwIfAborted();
        if (!roomier && (await this.#options.planner.wantsMoreMemory(error, context))) {
          roomier = true;
          continue;
        }
        const failure = BuildError.from(error);
        const mayHaveSent = sendsToClient.has(kind) && error instanceof AgentLostError;
        if (!failure.infrastructure || neverRepeated.has(kind) || mayHaveSent || attempt >= maxAttempts) throw error;
        this.#options.logger.warn("task goes to another agent", { kind, attempt, error: failure.message });
        note(context, `${failure.message}; trying again (${attempt + 1}/${maxAttempts})`);
        await this.#options.clock.sleep(retryDelayMs * 2 ** (attempt - 1), context.signal);
      }
    }
  }

  async #attempt<K extends TaskKind>(
    kind: K,
    given: TaskBody<K>,
    context: DispatchContext,
    avoided: Set<string>,
  ): Promise<TaskResult<K>> {
    const named = layersOfTask(kind, given);
    const { catalog, origins, holdLayers = () => () => {} } = this.#options;
    const held = new DisposableStack();
    held.defer(holdLayers(named));
    // What takes over the result holds it before this lets go.
    using _released = { [Symbol.dispose]: () => void setImmediate(() => held.dispose()) };
    await this.#lineage.ensureAvailable(named, context);
    const body = withLayers(kind, given, (id) => catalog.current(id));
    const ids = layersOfTask(kind, body);
    held.defer(holdLayers(ids));
    const attempt = new TaskAttempt(this.#options.bus, randomBytes(12).toString("hex"), context.progress, (made) =>
      held.defer(holdLayers(made)),
    );
    const token = this.#options.sessions.issue(
      context.sessions,
      (id) => sessionsOfTask(kind, body, this.#infos(ids)).includes(id),
      context.onChannel,
    );
    const { cacheMounts, planner } = this.#options;
    const uses = cacheMountsOfTask(body);
    let locks: HeldLocks | undefined;
    let ticket: Ticket | undefined;
    let agent: AgentRecord | undefined;
    try {
      // Before there is an agent: who waits for another step takes no slot.
      locks = await cacheMounts.enter(uses, attempt.taskId, context);
      const waiting = planner.waitingTask(attempt.taskId, kind, { layers: ids, mounts: uses, avoid: avoided }, context);
      const step = sharedStep(kind, body, context);
      const offer = { kind, body, ids, uses, context, attempt, token, demand: waiting.demand, step };
      const queuedAt = performance.now();
      agent = await this.#join(offer, avoided);
      if (agent === undefined) {
        const queued = this.#options.scheduler.submit(waiting);
        ticket = queued;
        agent = await inSpan("queue wait", { parent: context.traceparent }, async (span) => {
          const placed = await this.#place(queued, offer);
          span.set({ "placed.agent": placed.id });
          return placed;
        });
      }
      const waitedMs = performance.now() - queuedAt;
      this.#options.onPlaced?.({
        kind,
        agentId: agent.id,
        waitedMs,
        ...(context.vertex && { vertex: context.vertex }),
      });
      // With one agent there is nothing to tell.
      const shown =
        kind === "exec" && this.#options.registry.agents.length > 1
          ? { id: `agent ${agent.id}`, startedAt: this.#options.clock.now() }
          : undefined;
      if (shown !== undefined) context.progress.status(shown);
      const watch = this.#running.watch(agent, attempt.taskId, (error) => attempt.fail(error));
      try {
        const { result, fetched } = await withSignal(attempt.outcome, context.signal);
        const { layers = [], cacheMounts: published = [] } = result as Partial<TaskResult<"exec">>;
        // From then on the layers can be had again, whatever happens to the agent.
        await Promise.all([this.#record(agent.id, layers, fetched), origins.remember(kind, body, layers, context)]);
        this.#options.onFetched?.(this.#infos(fetched).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
        await cacheMounts.publish(agent.id, published, uses, locks);
        planner.learn(context, result);
        return result as TaskResult<K>;
      } catch (error) {
        // How the step failed is what counts.
        if (error instanceof StepFailedError) {
          const missing = missingPlatform(context.platform, this.#options.registry.agents);
          if (missing !== undefined) note(context, missing);
          await this.#record(agent.id, error.state.layers, []).catch(() => {});
        }
        throw error;
      } finally {
        watch[Symbol.dispose]();
        if (shown !== undefined) context.progress.status({ ...shown, completedAt: this.#options.clock.now() });
      }
    } catch (error) {
      if (agent !== undefined) avoided.add(agent.id);
      throw error;
    } finally {
      ticket?.[Symbol.dispose]();
      let ended = Promise.resolve();
      if (agent !== undefined && !attempt.ended) {
        ended = this.#running.cancel(agent.id, attempt.taskId, attempt.leaseId);
      }
      locks?.release(ended);
      // After a cancel the agent still reports its end; nobody answers then and it stops asking.
      attempt[Symbol.dispose]();
      this.#options.sessions.revoke(token);
    }
  }

  /** Finds an agent that runs the step for another coordinator, or has run it for one that is gone, and shares the result. */
  async #join<K extends TaskKind>(offer: TaskOffer<K>, avoided: ReadonlySet<string>): Promise<AgentRecord | undefined> {
    const { step, context } = offer;
    const agent = this.#options.registry.agents.find(
      ({ id, steps = [] }) => step !== undefined && steps.includes(step) && !avoided.has(id),
    );
    if (agent === undefined || !(await this.#offers.make(agent, { ...offer, joins: true }))) return undefined;
    note(context, `agent ${agent.id} has begun this step for another build; its result will do`);
    return agent;
  }

  /** Waits until an agent takes the task. @throws BuildError FailedPrecondition when none ever can */
  async #place<K extends TaskKind>(ticket: Ticket, offer: TaskOffer<K>): Promise<AgentRecord> {
    const { signal } = offer.context;
    using _shown = this.#showWaiting(ticket, offer.context);
    for (;;) {
      const agent = await ticket.agent(signal);
      if (await this.#offers.make(agent, offer)) {
        this.#options.planner.served(offer.context, agent.id);
        return agent;
      }
      ticket.refused();
    }
  }

  /** A line of progress for a wait that is noticed. */
  #showWaiting(ticket: Ticket, { progress }: DispatchContext): Disposable {
    const startedAt = this.#options.clock.now();
    let shown: ProgressStatus | undefined;
    const timer = setTimeout(() => {
      shown = { id: `waiting for ${ticket.awaited}`, startedAt };
      progress.status(shown);
    }, noticedWaitMs);
    return {
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        if (shown !== undefined) progress.status({ ...shown, completedAt: this.#options.clock.now() });
      },
    };
  }

  #infos(ids: readonly LayerId[]): readonly LayerInfo[] {
    return ids.map((id) => this.#options.catalog.require(id));
  }

  async #record(agentId: string, made: readonly LayerInfo[], fetched: readonly LayerId[]): Promise<void> {
    await this.#options.catalog.record(made);
    await Promise.all(fetched.map((id) => this.#options.catalog.addHolder(id, agentId)));
  }
}

/** A line of ours in what the step says. */
function note({ progress }: DispatchContext, text: string): void {
  progress.log(2, new TextEncoder().encode(`[fleet] ${text}\n`));
}
