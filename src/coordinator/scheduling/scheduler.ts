import type { LayerId } from "../../core/values/layer.ts";
import { MutableHeap } from "../../util/mutable-heap.ts";
import type { AgentAccount, AgentState } from "./agent-account.ts";
import { AgentAccounts } from "./agent-accounts.ts";
import { type Choice, chooseAgent, crowding, minSavingSeconds, unknownLayerBytes } from "./agent-choice.ts";
import { FairQueue } from "./fair-queue.ts";
import { IncomingLayers } from "./incoming-layers.ts";
import { NearTasks } from "./near-tasks.ts";
import { TenantsAhead } from "./tenants-ahead.ts";
import { isStep, type LayerLocations, type WaitingTask } from "./waiting-task.ts";

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

/** Who comes first when several want the slots that are free. */
const Standing = {
  /** It has waited for the holders of its inputs twice as long as a copy takes. */
  overdue: 0,
  /** It is its turn, and its inputs are there. */
  turn: 1,
  /** It is not its turn, but its inputs are there. */
  near: 2,
  /** It is its turn, and its inputs are elsewhere. */
  far: 3,
  /** Its inputs are there, but its tenant has more than one that waits. */
  ahead: 4,
} as const;

interface Offer {
  readonly task: WaitingTask;
  readonly choice: Choice;
  readonly standing: number;
}

interface Parked {
  readonly task: WaitingTask;
  readonly agent: AgentAccount;
  readonly until: number;
}

/** Tasks that compete for a free slot where many wait. */
const maxCompared = 16;
/** Agents whose neighbourhood is searched in one go. */
const maxLookedAt = 4;
/** Holders of a layer that are remembered to have it. */
const maxHolders = 8;
/** A task that starts as soon as this starts at once. */
const cheapSeconds = crowding + minSavingSeconds;
/** Tasks without room that are passed over in one go, for smaller ones behind them. */
const maxPassedOver = 16;
/** A task passed over for so long is passed over no more: agents run empty until it fits. Seconds. */
const patienceSeconds = 20;
/** What waits for the holders of its inputs goes elsewhere after so many times the time of its copy. */
const maxDelay = 4;

/**
 * Which task goes to which agent. Pure: events are told by its methods, time is an argument in seconds, `decide` answers with
 * what to do; the same events give the same answers. The fleet's dispatcher and the simulator drive it alike.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #agents: AgentAccounts;
  readonly #queue = new FairQueue();
  readonly #incoming = new IncomingLayers();
  /** Where each task is that has been given out. */
  readonly #placed = new Map<string, AgentAccount>();
  /** Steps in line, by what they stand on. */
  readonly #near = new NearTasks();
  readonly #largest = new WeakMap<WaitingTask, LayerId>();
  readonly #parked = new Map<string, Parked>();
  readonly #deadlines = new MutableHeap<Parked>((a, b) => a.until < b.until);
  /** Tasks that have waited for an agent once. */
  readonly #waitedOnce = new Set<string>();
  /** Since when a task has been passed over. */
  readonly #passedOver = new Map<string, number>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#agents = new AgentAccounts(options.fitting);
  }

  /** Tasks without an agent. */
  get waiting(): number {
    return this.#queue.size + this.#parked.size;
  }

  agentHeard(state: AgentState): void {
    this.#agents.heard(state);
  }

  /** What agents offer has changed. */
  refit(): void {
    this.#agents.refit();
  }

  /** What was given to it counts as running until `ended` says otherwise. */
  agentLost(id: string): void {
    const agent = this.#agents.get(id);
    if (agent === undefined) return;
    this.#agents.lost(agent);
    for (const task of [...agent.parked]) this.#unpark(task);
  }

  submit(task: WaitingTask): void {
    this.#queue.add(task);
    const largest = this.#largestLayer(task);
    if (!isStep(task) || largest === undefined) return;
    this.#largest.set(task, largest);
    this.#near.add(task, largest);
    const holders = this.#options.locations.holders(largest).values();
    for (const holder of holders.take(maxHolders)) this.#agents.get(holder)?.noteLayer(largest);
  }

  /** Nobody wants the task any more; one that was placed has to be `ended`. */
  withdraw(task: WaitingTask): void {
    const parked = this.#parked.get(task.id);
    if (parked !== undefined) this.#unpark(task);
    this.#queue.remove(task);
    this.#near.remove(task);
    this.#forget(task);
  }

  /** The agent would not take it; it waits again. */
  refused(task: WaitingTask): void {
    const agent = this.#placed.get(task.id);
    this.ended(task);
    if (agent !== undefined && isStep(task)) this.#agents.close(agent);
    this.submit(task);
  }

  ended(task: WaitingTask): void {
    const agent = this.#placed.get(task.id);
    if (agent === undefined) return;
    this.#placed.delete(task.id);
    this.#agents.end(agent, task);
    this.#incoming.remove(task.layers, agent.id);
    this.#queue.ended(task);
  }

  /** For whom the task waits, if it is one agent that has its inputs. */
  parkedFor(task: WaitingTask): string | undefined {
    return this.#parked.get(task.id)?.agent.id;
  }

  /** Seconds at which `decide` has something to do even if nothing happens before. */
  get nextDeadline(): number | undefined {
    return this.#deadlines.peek()?.until;
  }

  decide(now: number): readonly Assignment[] {
    const assignments = this.#serveParked(now);
    const blocked = new Set<string>();
    const withoutRoom: WaitingTask[] = [];
    for (;;) {
      // Where many wait, a free slot goes to one of the first few that has its inputs there.
      const crowded = this.#queue.size >= this.#agents.size;
      const offers = this.#inTurn(now, crowded, blocked, withoutRoom);
      if (offers.length === 0) break;
      if (crowded && offers.every(({ standing }) => standing >= Standing.far))
        offers.push(...this.#nearby(now, blocked));
      offers.sort((a, b) => a.standing - b.standing || a.choice.cost - b.choice.cost);
      const taken = new Set<AgentAccount>();
      for (const [index, { task, choice: first, standing }] of offers.entries()) {
        const mayWait = crowded && first.cost > cheapSeconds && !this.#waitedOnce.has(task.id);
        const again = mayWait || taken.has(first.agent);
        const choice = again ? this.#choose(task, now, mayWait) : first;
        if (choice?.waitSeconds !== undefined) this.#park(task, choice.agent, now + choice.waitSeconds);
        else if (choice !== undefined && (index === 0 || mayStart(standing, choice))) {
          assignments.push(this.#assign(task, choice, now));
          taken.add(choice.agent);
        } else this.#putBack(task);
      }
    }
    for (const task of withoutRoom) this.#putBack(task);
    return assignments;
  }

  /** What is offered to those whose turn it is. They count as started. */
  #inTurn(now: number, crowded: boolean, blocked: Set<string>, withoutRoom: WaitingTask[]): Offer[] {
    const offers: Offer[] = [];
    const ahead = new TenantsAhead((task) => this.#queue.scoreOf(task));
    while (offers.length < (crowded ? maxCompared : 1)) {
      const task = this.#queue.next((requirement) => blocked.has(requirement));
      if (task === undefined) break;
      ahead.note(task);
      this.#queue.started(task);
      const choice = this.#choose(task, now, !crowded && !this.#waitedOnce.has(task.id));
      if (choice !== undefined) {
        const near = ahead.has(task) ? Standing.ahead : Standing.turn;
        const far = this.#isOverdue(task, choice, now) ? Standing.overdue : Standing.far;
        offers.push({ task, choice, standing: choice.cost <= cheapSeconds ? near : far });
      } else {
        withoutRoom.push(task);
        if (this.#blocks(task, now, withoutRoom.length)) blocked.add(task.requirement);
      }
    }
    return offers;
  }

  /** Steps whose inputs are with an agent that has room, whosever turn it is. They count as started. */
  #nearby(now: number, blocked: ReadonlySet<string>): Offer[] {
    const offers: Offer[] = [];
    for (const agent of this.#agents.withRoom.values().take(maxLookedAt)) {
      for (const layer of agent.layers) {
        if (offers.length >= maxCompared) return offers;
        const task = this.#near.first(layer);
        if (task === undefined || blocked.has(task.requirement) || !this.#queue.mayPass(task)) continue;
        const choice = this.#choose(task, now, false);
        if (choice === undefined || choice.cost > cheapSeconds) continue;
        this.#queue.remove(task);
        this.#queue.started(task);
        offers.push({ task, choice, standing: Standing.near });
      }
    }
    return offers;
  }

  #choose(task: WaitingTask, now: number, mayWait: boolean): Choice | undefined {
    const { locations, tieBreak } = this.#options;
    const { withRoom } = this.#agents;
    const fitting = this.#agents.fitting(task.requirement);
    return chooseAgent(task, fitting, { locations, tieBreak, incoming: this.#incoming, withRoom, now, mayWait });
  }

  /** Nothing of its requirement is looked at after a task without room: nobody has any, or it has been passed over for long. */
  #blocks(task: WaitingTask, now: number, passedOver: number): boolean {
    const since = this.#passedOver.get(task.id) ?? now;
    this.#passedOver.set(task.id, since);
    return passedOver >= maxPassedOver || now - since > patienceSeconds || !this.#agents.anyRoom(task.requirement);
  }

  #isOverdue(task: WaitingTask, { cost, fetchSeconds }: Choice, now: number): boolean {
    const since = this.#passedOver.get(task.id) ?? now;
    this.#passedOver.set(task.id, since);
    return cost > cheapSeconds && now - since >= Math.min(maxDelay * fetchSeconds, patienceSeconds);
  }

  #serveParked(now: number): Assignment[] {
    const assignments: Assignment[] = [];
    for (const agent of [...this.#agents.withRoom]) {
      for (const task of agent.parked) {
        if (!agent.hasRoomFor(task.demand)) continue;
        this.#unpark(task);
        this.#queue.remove(task);
        this.#queue.started(task);
        assignments.push(this.#assign(task, { agent, cost: 0, fetchSeconds: 0 }, now));
      }
    }
    for (let next = this.#deadlines.peek(); next !== undefined && next.until <= now; next = this.#deadlines.peek()) {
      this.#unpark(next.task);
    }
    return assignments;
  }

  /** @param task taken from the line and counted there as started */
  #assign(task: WaitingTask, choice: Choice, now: number): Assignment {
    const { agent } = choice;
    this.#near.remove(task);
    this.#agents.start(choice, task, this.#largest.get(task), now);
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
    const parked = { task, agent, until };
    this.#parked.set(task.id, parked);
    this.#deadlines.put(parked);
    this.#waitedOnce.add(task.id);
  }

  /** Back into the line. */
  #unpark(task: WaitingTask): void {
    const parked = this.#parked.get(task.id);
    if (parked === undefined) return;
    parked.agent.parked.delete(task);
    this.#deadlines.delete(parked);
    this.#parked.delete(task.id);
    this.#queue.add(task);
  }

  #forget(task: WaitingTask): void {
    this.#waitedOnce.delete(task.id);
    this.#passedOver.delete(task.id);
  }

  #largestLayer(task: WaitingTask): LayerId | undefined {
    let largest: LayerId | undefined;
    let most = 0;
    for (const layer of task.layers) {
      const bytes = this.#options.locations.bytes(layer) || unknownLayerBytes;
      if (bytes > most) [largest, most] = [layer, bytes];
    }
    return largest;
  }
}

/** Others wait for a place that is nearer. */
function mayStart(standing: number, { cost }: Choice): boolean {
  return standing === Standing.overdue || (standing < Standing.far && cost <= cheapSeconds);
}
