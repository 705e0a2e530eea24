import { createHash } from "node:crypto";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import { add, noResources } from "../../core/values/resources.ts";
import { withSignal } from "../../util/abort.ts";
import { Scheduler } from "../scheduling/scheduler.ts";
import type { LayerLocations, WaitingTask } from "../scheduling/waiting-task.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { fittingAgents, requirementLabels, unmetRequirement } from "./requirement.ts";

export interface FleetSchedulerOptions {
  readonly coordinatorId: string;
  readonly registry: AgentRegistry;
  readonly clock: Clock;
  readonly locations: LayerLocations;
}

/** A task's place in the line, then on an agent. Dispose when the task has ended, or is not wanted any more. */
export interface Ticket extends Disposable {
  /**
   * The agent whose turn it is to run the task.
   * @throws BuildError FailedPrecondition when none of the agents ever can; Unavailable when there are none for long
   */
  agent(signal: AbortSignal): Promise<AgentRecord>;
  /** That agent would not take it: it waits again. */
  refused(): void;
  /** What it waits for now, e.g. `a slot: 3 agents are busy`. */
  readonly awaited: string;
}

/** Tasks without an agent that may run on the same agents. */
export interface QueuedWork {
  readonly platform: string;
  readonly pool: string;
  readonly tasks: number;
  /** Predicted. */
  readonly coreSeconds: number;
}

/** No agent at all for this long: the build fails rather than wait for ever. */
const noAgentTimeoutMs = 60_000;
const checkIntervalMs = 1000;
/** Of agents that have not measured theirs. Bytes per second. */
const assumedBandwidth = 200e6;
/** Slower ones only seem to be. */
const leastBandwidth = 1e5;

interface Waiting {
  readonly task: WaitingTask;
  /** Unix milliseconds. */
  readonly since: number;
  readonly chosen: PromiseWithResolvers<AgentRecord>;
}

/** Drives the scheduler: tells it of agents, tasks and time, and tells tasks what it decides. */
export class FleetScheduler implements Disposable {
  readonly #options: FleetSchedulerOptions;
  readonly #scheduler: Scheduler;
  readonly #waiting = new Map<string, Waiting>();
  /** Requirements that some agent meets; asked anew when agents come or go. */
  readonly #met = new Map<string, boolean>();
  /** What agents offer, by id, as JSON. */
  readonly #offers = new Map<string, string>();
  readonly #listener: Disposable;
  readonly #timer: NodeJS.Timeout;
  #deadline: NodeJS.Timeout | undefined;
  #deciding = false;

  constructor(options: FleetSchedulerOptions) {
    this.#options = options;
    const { coordinatorId, registry, locations } = options;
    // Not the same with all coordinators: they would all take the same agent.
    const tieBreak = (agentId: string) =>
      createHash("sha256").update(`${coordinatorId} ${agentId}`).digest().readUInt32LE();
    const fitting = (requirement: string, ids: readonly string[]) =>
      fittingAgents(
        requirement,
        ids.flatMap((id) => registry.get(id) ?? []),
      ).map(({ id }) => id);
    this.#scheduler = new Scheduler({ locations, fitting, tieBreak });
    this.#listener = registry.listen({
      agentHeard: (agent) => this.#hear(agent),
      agentLost: (id) => this.#lose(id),
    });
    for (const agent of registry.agents) this.#hear(agent);
    this.#timer = setInterval(() => this.#check(), checkIntervalMs);
  }

  /** What waits, by platform and pool. */
  get queued(): readonly QueuedWork[] {
    const work = new Map<string, QueuedWork>();
    for (const { task } of this.#waiting.values()) {
      const labels = requirementLabels(task.requirement);
      const key = `${labels.platform} ${labels.pool}`;
      const { tasks, coreSeconds } = work.get(key) ?? { tasks: 0, coreSeconds: 0 };
      const more = task.expectedSeconds * task.demand.cpu;
      work.set(key, { ...labels, tasks: tasks + 1, coreSeconds: coreSeconds + more });
    }
    return [...work.values()];
  }

  submit(task: WaitingTask): Ticket {
    this.#scheduler.submit(task);
    const since = this.#options.clock.now();
    let chosen = this.#wait(task, since);
    const awaited = () => this.#awaited(task);
    return {
      agent: (signal) => withSignal(chosen, signal),
      get awaited() {
        return awaited();
      },
      refused: () => {
        this.#scheduler.refused(task);
        chosen = this.#wait(task, since);
      },
      [Symbol.dispose]: () => {
        this.#waiting.delete(task.id);
        this.#scheduler.withdraw(task);
        this.#scheduler.ended(task);
        this.#decideSoon();
      },
    };
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    clearInterval(this.#timer);
    clearTimeout(this.#deadline);
  }

  get #agents(): readonly AgentRecord[] {
    return this.#options.registry.agents.filter(({ draining }) => !draining);
  }

  #awaited(task: WaitingTask): string {
    const holder = this.#scheduler.parkedFor(task);
    if (holder !== undefined) return `agent ${holder}, which has its inputs`;
    const { length } = fittingAgents(task.requirement, this.#agents);
    if (length === 0) return "an agent to join the fleet";
    return `a slot: ${length === 1 ? "the agent that may run it is" : `the ${length} agents that may run it are`} busy`;
  }

  #wait(task: WaitingTask, since: number): Promise<AgentRecord> {
    const chosen = Promise.withResolvers<AgentRecord>();
    // Whoever asked may have gone.
    chosen.promise.catch(() => {});
    const waiting = { task, since, chosen };
    this.#waiting.set(task.id, waiting);
    this.#checkOne(waiting);
    this.#decideSoon();
    return chosen.promise;
  }

  #hear(agent: AgentRecord): void {
    // What runs on an agent that drains goes on, and it takes nothing more.
    if (agent.draining) {
      this.#lose(agent.id);
      return;
    }
    const foreign = Object.entries(agent.occupied)
      .filter(([coordinator]) => coordinator !== this.#options.coordinatorId)
      .reduce((sum, [, resources]) => add(sum, resources), noResources);
    const measured = agent.transfers?.bytesPerSecond ?? assumedBandwidth;
    const bandwidth = Math.max(measured, leastBandwidth);
    this.#scheduler.agentHeard({ id: agent.id, capacity: agent.capacity, foreign, bandwidth });
    const offer = JSON.stringify([agent.platforms, agent.devices]);
    if (offer !== this.#offers.get(agent.id)) this.#scheduler.refit();
    this.#offers.set(agent.id, offer);
    this.#met.clear();
    this.#decideSoon();
  }

  #lose(id: string): void {
    this.#scheduler.agentLost(id);
    this.#offers.delete(id);
    this.#met.clear();
    this.#decideSoon();
  }

  /** What happens at one moment is decided on together. */
  #decideSoon(): void {
    if (this.#deciding) return;
    this.#deciding = true;
    queueMicrotask(() => {
      this.#deciding = false;
      this.#decide();
    });
  }

  #decide(): void {
    const now = this.#options.clock.now() / 1000;
    for (const { task, agentId } of this.#scheduler.decide(now)) {
      const waiting = this.#waiting.get(task.id);
      this.#waiting.delete(task.id);
      const agent = this.#options.registry.get(agentId);
      if (agent !== undefined) waiting?.chosen.resolve(agent);
      else
        waiting?.chosen.reject(new BuildError(Code.Unavailable, `agent ${agentId} is gone`, { infrastructure: true }));
    }
    clearTimeout(this.#deadline);
    const deadline = this.#scheduler.nextDeadline;
    if (deadline !== undefined) this.#deadline = setTimeout(() => this.#decide(), (deadline - now) * 1000 + 1);
  }

  #check(): void {
    for (const waiting of this.#waiting.values()) this.#checkOne(waiting);
    this.#decideSoon();
  }

  /** Ends the wait of a task that nobody can run. */
  #checkOne({ task, since, chosen }: Waiting): void {
    const { requirement } = task;
    const met = this.#met.get(requirement) ?? fittingAgents(requirement, this.#agents).length > 0;
    this.#met.set(requirement, met);
    if (met) return;
    const agents = this.#agents;
    if (agents.length > 0) chosen.reject(unmetRequirement(requirement, agents));
    else if (this.#options.clock.now() - since > noAgentTimeoutMs) {
      const message = `no agent has joined the fleet for ${noAgentTimeoutMs / 1000} s`;
      chosen.reject(new BuildError(Code.Unavailable, message));
    }
  }
}
