import { randomBytes } from "node:crypto";
import { subjects } from "../../bus/index.ts";
import { AgentLostError } from "../../core/errors/agent-lost-error.ts";
import { BuildError, isInfrastructureError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { AgentRecord, TaskOfferReply } from "../../core/values/agent.ts";
import type { CacheMountInfo } from "../../core/values/cache-mount.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import { formatPlatform, type Platform, samePlatform } from "../../core/values/platform.ts";
import type { Task, TaskBody, TaskKind, TaskResult } from "../../core/values/task.ts";
import { inSpan } from "../../telemetry/index.ts";
import { withSignal } from "../../util/abort.ts";
import { KeyedSemaphore } from "../../util/keyed-semaphore.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { HeldLocks } from "./cache-mount-locks.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import type { LayerCatalog } from "./layer-catalog.ts";
import { Lineage } from "./lineage.ts";
import type { Candidate, Placement } from "./placement.ts";
import { RunningTasks } from "./running-tasks.ts";
import { sessionsOfTask } from "./sessions-of-task.ts";
import { TaskAttempt } from "./task-attempt.ts";
import { cacheMountsOfTask, layersOfTask } from "./task-layers.ts";
import type { TaskSessions } from "./task-sessions.ts";
import { matchesWorkerFilters } from "./worker-filter.ts";

export interface FleetDispatcherOptions {
  readonly coordinatorId: string;
  /** AgentLink address agents can reach; read at each dispatch. */
  readonly agentLinkAddress: () => string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: AgentRegistry;
  readonly catalog: LayerCatalog;
  readonly placement: Placement;
  readonly sessions: TaskSessions;
  readonly cacheMounts: FleetCacheMounts;
  /** Keeps agents from removing layers, until the answer is called; default: nothing does. */
  readonly holdLayers?: (ids: readonly LayerId[]) => () => void;
  /** The client is still connected; an empty id stands for any client. */
  readonly sessionIsLive: (id: string) => boolean;
  /** Told where each step ran; for progress, `explain` and the demo. */
  readonly onPlaced?: (placed: PlacedTask) => void;
}

export interface PlacedTask {
  readonly kind: TaskKind;
  readonly agentId: string;
  readonly vertex?: { readonly digest: string; readonly name: string };
}

/** How often infrastructure faults send a task to another agent (BuildBuddy's cap). */
const maxAttempts = 5;
/** First pause between attempts; doubles. The sum outlasts the six seconds in which a lost agent is noticed. */
const retryDelayMs = 500;
const offerTimeoutMs = 2000;
/** No agent at all for this long: the build fails rather than wait for ever. */
const noAgentTimeoutMs = 60_000;
/** Affinity keys remembered; the longest unused goes first. */
const maxAffinities = 10_000;

/**
 * Tasks that any agent would treat alike and that look for one at the same time; the others wait in line. A slot that comes free
 * concerns the first few: were all to look at it, a wide graph would take time by the square of its width.
 */
const maxSeekers = 16;

/** Kinds that run a frontend's processes: what was done once is not done twice. */
const neverRepeated: ReadonlySet<TaskKind> = new Set(["container"]);
/** Kinds that send to the client. Their runners call a fault infrastructure only while nothing was sent; a lost agent may have. */
const sendsToClient: ReadonlySet<TaskKind> = new Set(["export.archive", "export.files"]);

/** What a task needs on its agent, as it is known at that moment. */
interface TaskInputs {
  readonly infos: readonly LayerInfo[];
  readonly mounts: readonly CacheMountInfo[];
}

/**
 * Runs tasks on agents over the bus. A waiting task is not bound to an agent until one can take it now, so an idle agent, also
 * one that has just joined, takes what waits.
 */
export class FleetDispatcher implements TaskDispatcher, Disposable {
  readonly #options: FleetDispatcherOptions;
  /** Unfinished tasks of this coordinator by agent. */
  readonly #load = new Map<string, { execs: number; tasks: number }>();
  /** Affinity key → agent that served it last. */
  readonly #affinity = new Map<string, string>();
  readonly #lineage: Lineage;
  readonly #running: RunningTasks;
  readonly #seekers = new KeyedSemaphore(maxSeekers);
  readonly #listener: Disposable;
  #wake: () => void = () => {};
  #change = Promise.withResolvers<void>();

  constructor(options: FleetDispatcherOptions) {
    this.#options = options;
    this.#lineage = new Lineage({
      info: (id) => options.catalog.require(id),
      isAvailable: (info) => this.isAvailable(info),
      reset: (ids) => options.catalog.reset(ids),
      rerun: async ({ kind, body, produced }, context) => {
        await this.run(kind, body, { ...context, layerIds: produced });
      },
    });
    this.#running = new RunningTasks(options.bus, options.registry);
    this.#wake = () => {
      const { resolve } = this.#change;
      this.#change = Promise.withResolvers();
      resolve();
    };
    this.#listener = options.registry.listen({ agentHeard: () => this.#wake(), agentLost: () => this.#wake() });
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    this.#running[Symbol.dispose]();
  }

  /** Some living agent holds the layer, or a registry or a client who is still there has it. */
  isAvailable(info: LayerInfo): boolean {
    const origin = info.origins.some(({ kind, ...where }) =>
      kind === "registry" ? true : "sessionId" in where && this.#options.sessionIsLive(where.sessionId),
    );
    return origin || info.holders.some((holder) => this.#options.registry.get(holder) !== undefined);
  }

  async run<K extends TaskKind>(kind: K, body: TaskBody<K>, context: DispatchContext): Promise<TaskResult<K>> {
    const avoided = new Set<string>();
    for (let attempt = 1; ; attempt++) {
      context.signal.throwIfAborted();
      try {
        return await this.#attempt(kind, body, context, avoided);
      } catch (error) {
        context.signal.throwIfAborted();
        const failure = BuildError.from(error);
        const mayHaveSent = sendsToClient.has(kind) && error instanceof AgentLostError;
        if (!failure.infrastructure || neverRepeated.has(kind) || mayHaveSent || attempt >= maxAttempts) throw error;
        this.#options.logger.warn("task goes to another agent", { kind, attempt, error: failure.message });
        const note = `[fleet] ${failure.message}; trying again (${attempt + 1}/${maxAttempts})\n`;
        context.progress.log(2, new TextEncoder().encode(note));
        await this.#options.clock.sleep(retryDelayMs * 2 ** (attempt - 1), context.signal);
      }
    }
  }

  async #attempt<K extends TaskKind>(
    kind: K,
    body: TaskBody<K>,
    context: DispatchContext,
    avoided: Set<string>,
  ): Promise<TaskResult<K>> {
    const ids = layersOfTask(kind, body);
    const { holdLayers = () => () => {} } = this.#options;
    const held = new DisposableStack();
    held.defer(holdLayers(ids));
    // What takes over the result holds it before this lets go.
    using _released = { [Symbol.dispose]: () => void setImmediate(() => held.dispose()) };
    await this.#lineage.ensureAvailable(ids, context);
    const attempt = new TaskAttempt(this.#options.bus, randomBytes(12).toString("hex"), context.progress, (made) =>
      held.defer(holdLayers(made)),
    );
    const token = this.#options.sessions.issue(
      context.sessions,
      (id) => sessionsOfTask(kind, body, this.#infos(ids)).includes(id),
      context.onChannel,
    );
    const { cacheMounts } = this.#options;
    const uses = cacheMountsOfTask(body);
    let locks: HeldLocks | undefined;
    let agent: AgentRecord | undefined;
    try {
      // Before there is an agent: who waits for another step takes no slot.
      locks = await cacheMounts.enter(uses, attempt.taskId, context);
      agent = await inSpan("queue wait", { parent: context.traceparent }, async (span) => {
        const placed = await this.#place(kind, body, ids, context, avoided, attempt, token);
        span.set({ "placed.agent": placed.id });
        return placed;
      });
      this.#options.onPlaced?.({ kind, agentId: agent.id, ...(context.vertex && { vertex: context.vertex }) });
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
        await this.#record(agent.id, layers, fetched);
        await cacheMounts.publish(agent.id, published, uses, locks);
        this.#lineage.remember(kind, body, layers);
        return result as TaskResult<K>;
      } catch (error) {
        // How the step failed is what counts.
        if (error instanceof StepFailedError) await this.#record(agent.id, error.state.layers, []).catch(() => {});
        throw error;
      } finally {
        watch[Symbol.dispose]();
        if (shown !== undefined) context.progress.status({ ...shown, completedAt: this.#options.clock.now() });
      }
    } catch (error) {
      if (agent !== undefined) avoided.add(agent.id);
      throw error;
    } finally {
      let ended = Promise.resolve();
      if (agent !== undefined) {
        this.#release(agent.id, kind);
        if (!attempt.ended) ended = this.#running.cancel(agent.id, attempt.taskId, attempt.leaseId);
      }
      locks?.release(ended);
      // After a cancel the agent still reports its end; nobody answers then and it stops asking.
      attempt[Symbol.dispose]();
      this.#options.sessions.revoke(token);
    }
  }

  /** Waits until an agent takes the task. @throws BuildError FailedPrecondition when none ever can */
  async #place<K extends TaskKind>(
    kind: K,
    body: TaskBody<K>,
    ids: readonly LayerId[],
    context: DispatchContext,
    avoided: ReadonlySet<string>,
    attempt: TaskAttempt,
    token: string,
  ): Promise<AgentRecord> {
    const since = this.#options.clock.now();
    const deadline = since + noAgentTimeoutMs;
    const { platform, constraints, affinity } = context;
    const uses = cacheMountsOfTask(body);
    const mountKeys = uses.map(({ key }) => key);
    using _turn = await this.#seekers.acquire(
      JSON.stringify([kind === "exec", platform, constraints, affinity, mountKeys]),
      context.signal,
    );
    const refused = new Set<string>();
    for (;;) {
      context.signal.throwIfAborted();
      const change = this.#change.promise;
      // Read anew: others may have fetched or made them while this task waited.
      const infos = this.#infos(ids);
      const fitting = this.#fitting(context);
      // An agent that failed this task before is better than none.
      const shunned = fitting.every(({ id }) => avoided.has(id)) ? refused : new Set([...avoided, ...refused]);
      const mounts = this.#options.cacheMounts.infos(uses);
      const waitedMs = this.#options.clock.now() - since;
      const agent = this.#choose(kind, { infos, mounts, waitedMs }, context, fitting, shunned);
      if (agent !== undefined) {
        this.#occupy(agent.id, kind);
        let taken = false;
        try {
          taken = await this.#offer(agent, kind, body, { infos, mounts }, context, attempt, token);
        } finally {
          if (!taken) this.#release(agent.id, kind);
        }
        if (taken) {
          if (context.affinity !== undefined) this.#rememberAffinity(context.affinity, agent.id);
          return agent;
        }
        refused.add(agent.id);
        continue;
      }
      if (fitting.length === 0 && this.#options.clock.now() > deadline) {
        throw new BuildError(Code.Unavailable, `no agent has joined the fleet for ${noAgentTimeoutMs / 1000} s`);
      }
      refused.clear();
      // Heartbeats wake this at least every two seconds; the timer covers an empty fleet.
      const wait = new AbortController();
      try {
        const timer = this.#options.clock.sleep(1000, wait.signal).catch(() => {});
        await withSignal(Promise.race([change, timer]), context.signal);
      } finally {
        wait.abort();
      }
    }
  }

  /** Living agents that may run the task at all. @throws BuildError FailedPrecondition when agents live and none fits */
  #fitting(context: DispatchContext): readonly AgentRecord[] {
    const all = this.#options.registry.agents.filter((agent) => !agent.draining);
    const { platform, constraints = [] } = context;
    const constrained = all.filter((agent) => matchesWorkerFilters(constraints, agent));
    const runs = (matches: (offered: Platform) => boolean) =>
      constrained.filter((agent) => platform === undefined || agent.platforms.some(matches));
    let fitting = runs((offered) => platform !== undefined && samePlatform(offered, platform));
    // A step may name a platform and yet run programs of this machine, as cross compilers do; BuildKit lets it try.
    if (fitting.length === 0) fitting = runs((offered) => offered.os === platform?.os);
    if (all.length > 0 && fitting.length === 0) {
      const wanted = [
        ...(platform === undefined ? [] : [`platform ${formatPlatform(platform)}`]),
        ...constraints.map((filter) => `worker filter ${JSON.stringify(filter)}`),
      ].join(" and ");
      const offered = [...new Set(all.flatMap((agent) => agent.platforms.map(formatPlatform)))].join(", ");
      throw new BuildError(
        Code.FailedPrecondition,
        `no agent offers ${wanted}: the ${all.length} in the fleet offer ${offered}`,
      );
    }
    return fitting;
  }

  #choose(
    kind: TaskKind,
    { infos, mounts, waitedMs }: TaskInputs & { readonly waitedMs: number },
    context: DispatchContext,
    fitting: readonly AgentRecord[],
    excluded: ReadonlySet<string>,
  ): AgentRecord | undefined {
    const candidates = fitting.map((agent): Candidate => {
      const load = this.#load.get(agent.id);
      return { agent, busySlots: load?.execs ?? 0, tasks: load?.tasks ?? 0 };
    });
    const preferred = context.affinity === undefined ? undefined : this.#affinity.get(context.affinity);
    const request = {
      layers: infos,
      cacheMounts: mounts,
      waitedMs,
      needsSlot: kind === "exec",
      ...(preferred === undefined ? {} : { preferredAgent: preferred }),
    };
    return this.#options.placement.choose(
      request,
      candidates.filter(({ agent }) => !excluded.has(agent.id)),
    );
  }

  async #offer<K extends TaskKind>(
    agent: AgentRecord,
    kind: K,
    body: TaskBody<K>,
    { infos, mounts }: TaskInputs,
    context: DispatchContext,
    attempt: TaskAttempt,
    token: string,
  ): Promise<boolean> {
    const ofMounts = mounts.flatMap((mount) => mount.holders.map(({ agentId }) => agentId));
    const holders = new Set([...infos.flatMap((info) => info.holders), ...ofMounts]);
    const peers: Record<string, string> = {};
    for (const holder of holders) {
      const url = this.#options.registry.get(holder)?.blobUrl;
      if (url !== undefined) peers[holder] = url;
    }
    const task: Task<K> = {
      id: attempt.taskId,
      leaseId: attempt.leaseId,
      kind,
      body,
      layers: infos,
      cacheMounts: mounts,
      peers,
      sessionIds: context.sessions.ids,
      coordinator: { id: this.#options.coordinatorId, address: this.#options.agentLinkAddress(), token },
      ...(context.layerIds === undefined ? {} : { layerIds: context.layerIds }),
      ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
    };
    try {
      const answer = await this.#options.bus.request(subjects.agentTasks(agent.id), encode(task), {
        timeoutMs: offerTimeoutMs,
        signal: context.signal,
      });
      const reply = decode<TaskOfferReply>(answer);
      if (!reply.accepted)
        this.#options.logger.debug("agent refused task", { agent: agent.id, kind, reason: reply.reason });
      return reply.accepted;
    } catch (error) {
      // Only the answer was lost: it ran already.
      if (attempt.ended) return true;
      // The offer may have arrived: it is taken back, and what comes of it counts no more.
      void this.#running.cancel(agent.id, attempt.taskId, attempt.leaseId);
      attempt.renewLease();
      context.signal.throwIfAborted();
      if (!isInfrastructureError(error)) throw error;
      this.#options.logger.debug("offer failed", { agent: agent.id, kind, error: String(error) });
      return false;
    }
  }

  #infos(ids: readonly LayerId[]): readonly LayerInfo[] {
    return ids.map((id) => this.#options.catalog.require(id));
  }

  #rememberAffinity(key: string, agentId: string): void {
    this.#affinity.delete(key);
    this.#affinity.set(key, agentId);
    const [oldest] = this.#affinity.keys();
    if (this.#affinity.size > maxAffinities && oldest !== undefined) this.#affinity.delete(oldest);
  }

  async #record(agentId: string, made: readonly LayerInfo[], fetched: readonly LayerId[]): Promise<void> {
    await this.#options.catalog.record(made);
    await Promise.all(fetched.map((id) => this.#options.catalog.addHolder(id, agentId)));
  }

  #occupy(agentId: string, kind: TaskKind): void {
    const load = this.#load.get(agentId) ?? { execs: 0, tasks: 0 };
    load.tasks++;
    if (kind === "exec") load.execs++;
    this.#load.set(agentId, load);
  }

  #release(agentId: string, kind: TaskKind): void {
    const load = this.#load.get(agentId);
    if (load === undefined) return;
    load.tasks--;
    if (kind === "exec") load.execs--;
    if (load.tasks === 0) this.#load.delete(agentId);
    this.#wake();
  }
}
