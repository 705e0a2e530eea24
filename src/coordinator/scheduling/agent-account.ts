import type { LayerId } from "../../core/values/layer.ts";
import { add, fits, load, noResources, type Resources, subtract } from "../../core/values/resources.ts";
import type { WaitingTask } from "./waiting-task.ts";

/** An agent as the scheduler is told of it. */
export interface AgentState {
  readonly id: string;
  readonly capacity: Resources;
  /** What other coordinators run on it. */
  readonly foreign: Resources;
  /** Bytes per second at which it fetches layers. */
  readonly bandwidth: number;
}

/** Layers remembered of an agent: what its next steps may stand on. */
const maxLayers = 32;

/** The books of one agent: what runs there, who waits for it. Times are seconds. */
export class AgentAccount {
  /** It refused a task under the load it has: no step goes there until something about it changes. */
  closed = false;
  /** Tasks that wait for just this agent, in their order. */
  readonly parked = new Set<WaitingTask>();
  readonly #layers = new Set<LayerId>();
  readonly #running = new Map<string, { readonly task: WaitingTask; readonly expectedEnd: number }>();
  #state: AgentState;
  #occupied: Resources;
  #load = 0;
  #linkFreeAt = 0;

  constructor(state: AgentState) {
    this.#state = state;
    this.#occupied = state.foreign;
    this.#recount(state.foreign);
  }

  get id(): string {
    return this.#state.id;
  }

  get capacity(): Resources {
    return this.#state.capacity;
  }

  /** Large layers that steps brought or found here. */
  get layers(): ReadonlySet<LayerId> {
    return this.#layers;
  }

  get bandwidth(): number {
    return this.#state.bandwidth;
  }

  /** Share of the scarcest resource in use; of tasks that take none, a little each. */
  get load(): number {
    return this.#load;
  }

  update(state: AgentState): void {
    const own = subtract(this.#occupied, this.#state.foreign);
    this.#state = state;
    this.closed = false;
    this.#recount(add(own, state.foreign));
  }

  /** With nothing else on it. */
  isLargeEnoughFor({ cpu, memoryBytes }: Resources): boolean {
    return cpu <= this.#state.capacity.cpu && memoryBytes <= this.#state.capacity.memoryBytes;
  }

  hasRoomFor(demand: Resources): boolean {
    return demand.slots === 0 || (!this.closed && fits(this.#state.capacity, this.#occupied, demand));
  }

  noteLayer(layer: LayerId): void {
    this.#layers.delete(layer);
    this.#layers.add(layer);
    const [oldest] = this.#layers;
    if (this.#layers.size > maxLayers && oldest !== undefined) this.#layers.delete(oldest);
  }

  /** Until what is being fetched is there. */
  linkBusy(now: number): number {
    return Math.max(this.#linkFreeAt - now, 0);
  }

  /** @param fetchSeconds until its inputs are there */
  start(task: WaitingTask, now: number, fetchSeconds: number): void {
    this.#running.set(task.id, { task, expectedEnd: now + fetchSeconds + task.expectedSeconds });
    this.#linkFreeAt = Math.max(this.#linkFreeAt, now + fetchSeconds);
    this.#recount(add(this.#occupied, task.demand));
  }

  end(task: WaitingTask): void {
    if (!this.#running.delete(task.id)) return;
    this.closed = false;
    // Set anew when nothing is left: sums of fractions do not return to nought.
    const idle = this.#running.size === 0;
    this.#recount(idle ? this.#state.foreign : subtract(this.#occupied, task.demand));
  }

  /** Until one more step has its turn here, behind what runs and what waits for this agent already. */
  expectedWait(now: number): number {
    const steps = [...this.#running.values()].filter(({ task }) => task.demand.slots > 0);
    if (steps.length === 0) return 0;
    const ends = steps.map(({ expectedEnd }) => Math.max(expectedEnd - now, 0)).sort((a, b) => a - b);
    const mean = steps.reduce((sum, { task }) => sum + task.expectedSeconds, 0) / steps.length;
    const turn = this.parked.size;
    return (ends[turn % ends.length] ?? 0) + Math.floor(turn / ends.length) * mean;
  }

  #recount(occupied: Resources): void {
    this.#occupied = this.#running.size === 0 && this.#state.foreign.slots === 0 ? noResources : occupied;
    this.#load = load(this.#state.capacity, this.#occupied) + this.#running.size * 0.001;
  }
}
