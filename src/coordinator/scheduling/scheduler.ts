import { AgentAccount, type AgentState } from "./agent-account.ts";
import { type Choice, chooseAgent, crowding, minSavingSeconds } from "./agent-choice.ts";
import { FairQueue } from "./fair-queue.ts";
import { IncomingLayers } from "./incoming-layers.ts";
import type { LayerLocations, WaitingTask } from "./waiting-task.ts";

export interface SchedulerOptions {
  readonly locations: LayerLocations;
  /** Those of the agents that may run what has the requirement. Asked once, until agents come or go. */
  readonly fitting: (requirement: string, agentIds: readonly string[]) => readonly string[];
  /** Orders agents that are equally good. */
  readonly tieBreak: (agentId: string) => number;
}

export interface Assignment {
  readonly task: WaitingTask;
  readonly agentId: string;
}

interface Offer {
  readonly task: WaitingTask;
  readonly choice: Choice;
  /** It has waited for the holders of its inputs twice as long as a copy takes. */
  readonly overdue: boolean;
}

/** Tasks that compete for a free slot where many wait. */
const maxCompared = 16;
/** A task that starts as soon as this starts at once. */
const cheapSeconds = crowding + minSavingSeconds;
/** Tasks without room that are passed over in one go, for smaller ones behind them. */
const maxPassedOver = 16;
/** A task passed over for so long is passed over no more: agents run empty until it fits. Seconds. */
const patienceSeconds = 20;

/**
 * Which task goes to which agent. Pure: events are told by its methods, time is an argument in seconds, `decide` answers with
 * what to do; the same events give the same answers. The fleet's dispatcher and the simulator drive it alike.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #agents = new Map<string, AgentAccount>();
  readonly #queue = new FairQueue();
  readonly #incoming = new IncomingLayers();
  /** Where each task is that has been given out. */
  readonly #placed = new Map<string, AgentAccount>();
  readonly #parked = new Map<
    string,
    { readonly task: WaitingTask; readonly agent: AgentAccount; readonly until: number }
  >();
  /** Tasks that have waited for an agent once. */
  readonly #waitedOnce = new Set<string>();
  /** Since when a task has been passed over. */
  readonly #passedOver = new Map<string, number>();
  readonly #fitting = new Map<string, ReadonlyMap<string, AgentAccount>>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Tasks without an agent. */
  get waiting(): number {
    return this.#queue.size + this.#parked.size;
  }

  agentHeard(state: AgentState): void {
    const known = this.#agents.get(state.id);
    known?.update(state);
    if (known !== undefined) return;
    this.#agents.set(state.id, new AgentAccount(state));
    this.#fitting.clear();
  }

  /** What agents offer has changed. */
  refit(): void {
    this.#fitting.clear();
  }

  /** What was given to it counts as running until `ended` says otherwise. */
  agentLost(id: string): void {
    const agent = this.#agents.get(id);
    if (agent === undefined) return;
    this.#agents.delete(id);
    this.#fitting.clear();
    for (const task of [...agent.parked]) this.#unpark(task);
  }

  submit(task: WaitingTask): void {
    this.#queue.add(task);
  }

  /** Nobody wants the task any more; one that was placed has to be `ended`. */
  withdraw(task: WaitingTask): void {
    const parked = this.#parked.get(task.id);
    if (parked !== undefined) this.#unpark(task);
    this.#queue.remove(task);
    this.#forget(task);
  }

  /** The agent would not take it; it waits again. */
  refused(task: WaitingTask): void {
    const agent = this.#placed.get(task.id);
    this.ended(task);
    if (agent !== undefined && task.demand.slots > 0) agent.closed = true;
    this.#queue.add(task);
  }

  ended(task: WaitingTask): void {
    const agent = this.#placed.get(task.id);
    if (agent === undefined) return;
    this.#placed.delete(task.id);
    agent.end(task);
    this.#incoming.remove(task.layers, agent.id);
    this.#queue.ended(task);
  }

  /** For whom the task waits, if it is one agent that has its inputs. */
  parkedFor(task: WaitingTask): string | undefined {
    return this.#parked.get(task.id)?.agent.id;
  }

  /** Seconds at which `decide` has something to do even if nothing happens before. */
  get nextDeadline(): number | undefined {
    let first: number | undefined;
    for (const { until } of this.#parked.values()) first = Math.min(first ?? until, until);
    return first;
  }

  decide(now: number): readonly Assignment[] {
    const assignments = this.#serveParked(now);
    const blocked = new Set<string>();
    const withoutRoom: WaitingTask[] = [];
    for (;;) {
      // Where many wait, a free slot goes to one of the first few that has its inputs there.
      const crowded = this.#queue.size >= this.#agents.size;
      const offers: Offer[] = [];
      while (offers.length < (crowded ? maxCompared : 1)) {
        const task = this.#queue.next((requirement) => blocked.has(requirement));
        if (task === undefined) break;
        this.#queue.started(task);
        const choice = this.#choose(task, now, !crowded && !this.#waitedOnce.has(task.id));
        if (choice !== undefined) offers.push({ task, choice, overdue: this.#isOverdue(task, choice, now) });
        else {
          withoutRoom.push(task);
          if (this.#blocks(task, now, withoutRoom.length)) blocked.add(task.requirement);
        }
      }
      if (offers.length === 0) break;
      offers.sort((a, b) => Number(b.overdue) - Number(a.overdue) || a.choice.cost - b.choice.cost);
      const taken = new Set<AgentAccount>();
      for (const [index, { task, choice: first, overdue }] of offers.entries()) {
        const choice = taken.has(first.agent) ? this.#choose(task, now, false) : first;
        if (choice?.waitSeconds !== undefined) this.#park(task, choice.agent, now + choice.waitSeconds);
        else if (choice !== undefined && (index === 0 || overdue || choice.cost <= cheapSeconds)) {
          assignments.push(this.#assign(task, choice.agent, now));
          taken.add(choice.agent);
        } else this.#putBack(task);
      }
    }
    for (const task of withoutRoom) this.#putBack(task);
    return assignments;
  }

  #choose(task: WaitingTask, now: number, mayWait: boolean): Choice | undefined {
    const { locations, tieBreak } = this.#options;
    const fitting = this.#fittingFor(task.requirement);
    return chooseAgent(task, fitting, { locations, tieBreak, incoming: this.#incoming, now, mayWait });
  }

  /** Nothing of its requirement is looked at after a task without room: nobody has any, or it has been passed over for long. */
  #blocks(task: WaitingTask, now: number, passedOver: number): boolean {
    const since = this.#passedOver.get(task.id) ?? now;
    this.#passedOver.set(task.id, since);
    return passedOver >= maxPassedOver || now - since > patienceSeconds || !this.#anyRoom(task.requirement);
  }

  #isOverdue(task: WaitingTask, { cost }: Choice, now: number): boolean {
    const since = this.#passedOver.get(task.id) ?? now;
    this.#passedOver.set(task.id, since);
    return cost > cheapSeconds && now - since >= 2 * cost;
  }

  #serveParked(now: number): Assignment[] {
    const assignments: Assignment[] = [];
    for (const { task, agent, until } of [...this.#parked.values()]) {
      const hasRoom = agent.hasRoomFor(task.demand);
      if (!hasRoom && now < until) continue;
      this.#unpark(task);
      if (!hasRoom) continue;
      this.#queue.remove(task);
      this.#queue.started(task);
      assignments.push(this.#assign(task, agent, now));
    }
    return assignments;
  }

  /** @param task taken from the line and counted there as started */
  #assign(task: WaitingTask, agent: AgentAccount, now: number): Assignment {
    agent.start(task, now);
    this.#incoming.add(task.layers, agent.id);
    this.#placed.set(task.id, agent);
    this.#forget(task);
    return { task, agentId: agent.id };
  }

  #putBack(task: WaitingTask): void {
    this.#queue.add(task);
    this.#queue.ended(task);
  }

  #park(task: WaitingTask, agent: AgentAccount, until: number): void {
    this.#queue.ended(task);
    agent.parked.add(task);
    this.#parked.set(task.id, { task, agent, until });
    this.#waitedOnce.add(task.id);
  }

  /** Back into the line. */
  #unpark(task: WaitingTask): void {
    this.#parked.get(task.id)?.agent.parked.delete(task);
    this.#parked.delete(task.id);
    this.#queue.add(task);
  }

  #forget(task: WaitingTask): void {
    this.#waitedOnce.delete(task.id);
    this.#passedOver.delete(task.id);
  }

  #fittingFor(requirement: string): ReadonlyMap<string, AgentAccount> {
    let fitting = this.#fitting.get(requirement);
    if (fitting === undefined) {
      fitting = new Map(
        this.#options.fitting(requirement, [...this.#agents.keys()]).flatMap((id) => {
          const agent = this.#agents.get(id);
          return agent === undefined ? [] : [[id, agent] as const];
        }),
      );
      this.#fitting.set(requirement, fitting);
    }
    return fitting;
  }

  #anyRoom(requirement: string): boolean {
    const least = { slots: 1, cpu: 0, memoryBytes: 0 };
    return this.#fittingFor(requirement)
      .values()
      .some((agent) => agent.hasRoomFor(least));
  }
}
