import { Scheduler } from "../../src/coordinator/scheduling/scheduler.ts";
import { upwardRanks } from "../../src/coordinator/scheduling/upward-rank.ts";
import type { WaitingTask } from "../../src/coordinator/scheduling/waiting-task.ts";
import type { LayerId } from "../../src/core/values/layer.ts";
import { noResources } from "../../src/core/values/resources.ts";
import { MutableHeap } from "../../src/util/mutable-heap.ts";
import { FairnessMeter } from "./fairness.ts";
import type { SimulatedBuild, SimulatedVertex, Workload } from "./graph.ts";
import { ProcessorTime } from "./processor-time.ts";
import { SeededRandom } from "./random.ts";
import { SimulatedAgent } from "./simulated-agent.ts";

export interface SimulationOptions {
  readonly agents: number;
  /** Steps at the same time, of each agent. */
  readonly slots: number;
  /** Bytes per second that an agent can receive, and is taken to before it has measured. */
  readonly bandwidth: number;
  /** Every tenth agent has a link so many times slower. */
  readonly slowLinks: number;
  /** Agents measure their links and tell. */
  readonly measured: boolean;
  readonly seed: number;
  /** Expected durations are wrong by up to this factor, either way; 1: they are known. */
  readonly ignorance: number;
}

export interface SimulationResult {
  readonly vertices: number;
  /** Virtual seconds. */
  readonly makespan: number;
  /** No schedule is shorter: the longest way, or all the work over all the slots. */
  readonly bound: number;
  /** Share of all slots, over the whole time. */
  readonly utilization: number;
  /** Bytes fetched from other agents. */
  readonly movedBytes: number;
  /** Bytes to fetch, had each task gone where most of its inputs were, whatever ran there. */
  readonly leastBytes: number;
  /** Share of all input bytes that were where the task ran. */
  readonly localShare: number;
  /** Milliseconds by the clock for each task placed. */
  readonly decisionMs: { readonly median: number; readonly p99: number };
  /** Of the scheduler for each step, in all, microseconds of processor time. */
  readonly schedulerMicros: number;
  /** Tasks that waited at one time, at most. */
  readonly mostWaiting: number;
  /** Of tenants; see FairnessMeter. */
  readonly fairness: number;
  /** From the arrival of a build to its first step, virtual seconds: 95 of 100 are shorter. */
  readonly firstStepP95: number;
  /** From the arrival of a build to its end, over its longest way; the median of all builds. */
  readonly slowdown: number;
}

/** Runs a workload on virtual time, through the scheduler of the coordinator. Deterministic but for the decision times. */
export function simulate(workload: Workload, options: SimulationOptions): SimulationResult {
  return new Simulation(workload, options).run();
}

/** Layers that a step opens, at most: what lies deeper is taken to be there. Real stacks have a few dozen. */
const maxStack = 24;

class Simulation {
  readonly #workload: Workload;
  readonly #options: SimulationOptions;
  readonly #random: SeededRandom;
  readonly #scheduler: Scheduler;
  readonly #events = new MutableHeap<{ readonly at: number; readonly order: number; readonly run: () => void }>(
    (a, b) => a.at < b.at || (a.at === b.at && a.order < b.order),
  );
  readonly #agents: readonly SimulatedAgent[];
  readonly #holders = new Map<LayerId, Set<string>>();
  readonly #bytes = new Map<LayerId, number>();
  readonly #stacks = new Map<string, readonly LayerId[]>();
  readonly #runs = new Map<WaitingTask, (agentId: string) => void>();
  readonly #fairness: FairnessMeter;
  readonly #decisions: number[] = [];
  readonly #cpu = new ProcessorTime();
  readonly #firstSteps = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  #now = 0;
  #order = 0;
  #moved = 0;
  #least = 0;
  #read = 0;
  #mostWaiting = 0;

  constructor(workload: Workload, options: SimulationOptions) {
    this.#workload = workload;
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#fairness = new FairnessMeter(options.agents * options.slots);
    const { agents, bandwidth, slowLinks } = options;
    const now = () => this.#now;
    this.#agents = Array.from(
      { length: agents },
      (_, id) => new SimulatedAgent(bandwidth / (id % 10 === 9 ? slowLinks : 1), now),
    );
    for (const [image, bytes] of workload.images ?? []) {
      const layer = image as LayerId;
      this.#bytes.set(layer, bytes);
      this.#holders.set(layer, new Set());
      this.#stacks.set(image, [layer]);
    }
    const nobody = new Set<string>();
    this.#scheduler = new Scheduler({
      locations: {
        bytes: (layer) => this.#bytes.get(layer) ?? 0,
        holders: (layer) => this.#holders.get(layer) ?? nobody,
      },
      fitting: (_, agents) => agents,
      tieBreak: (id) => Number(id),
    });
  }

  run(): SimulationResult {
    for (const id of this.#agents.keys()) this.#tell(String(id));
    for (const build of this.#workload.builds) this.#at(build.arrival, () => this.#start(build));
    for (let event = this.#events.peek(); event !== undefined; event = this.#events.peek()) {
      this.#events.delete(event);
      this.#now = event.at;
      event.run();
      // What happens at one moment is decided on together.
      if (this.#events.peek()?.at !== this.#now) this.#decide();
    }
    return this.#result();
  }

  /** The scheduler hears of an agent. */
  #tell(id: string): void {
    const { slots, bandwidth: assumed, measured } = this.#options;
    const capacity = { slots, cpu: slots, memoryBytes: slots * 4e9 };
    const bandwidth = (measured ? this.#agent(id).meter.bytesPerSecond : undefined) ?? assumed;
    this.#scheduler.agentHeard({ id, capacity, foreign: noResources, bandwidth });
  }

  #agent(id: string): SimulatedAgent {
    return this.#agents[Number(id)] as SimulatedAgent;
  }

  #start(build: SimulatedBuild): void {
    const guess = () => this.#options.ignorance ** this.#random.between(-1, 1);
    const expected = build.vertices.map((vertex) => ({ ...vertex, expectedSeconds: vertex.seconds * guess() }));
    const ranks = upwardRanks(expected);
    const users = Map.groupBy(
      build.vertices.flatMap((user) => user.inputs.map((input) => ({ input, user }))),
      ({ input }) => input,
    );
    const ownInputs = ({ inputs }: SimulatedVertex) =>
      inputs.filter((input) => !this.#workload.images?.has(input)).length;
    const open = new Map(build.vertices.map((vertex) => [vertex.id, ownInputs(vertex)]));
    const estimates = new Map(expected.map(({ id, expectedSeconds }) => [id, expectedSeconds]));
    const submit = (vertex: SimulatedVertex) => {
      const task = this.#task(build, vertex, ranks.get(vertex.id) ?? 0, estimates.get(vertex.id) ?? 0);
      this.#runs.set(task, (agent) =>
        this.#run(build, vertex, task, agent, () => {
          for (const { user } of users.get(vertex.id) ?? []) {
            const left = (open.get(user.id) ?? 0) - 1;
            open.set(user.id, left);
            if (left === 0) submit(user);
          }
        }),
      );
      this.#fairness.change(this.#now, build.tenant, 0, vertex.cores);
      this.#cpu.spend(() => this.#scheduler.submit(task));
    };
    for (const vertex of build.vertices) if (open.get(vertex.id) === 0) submit(vertex);
  }

  #task(build: SimulatedBuild, vertex: SimulatedVertex, rank: number, expectedSeconds: number): WaitingTask {
    const { id, tenant, priority } = build;
    return {
      id: vertex.id,
      share: { build: id, tenant, priority, weight: 1 },
      requirement: "",
      demand: { slots: 1, cpu: vertex.cores, memoryBytes: vertex.memoryBytes },
      rank,
      expectedSeconds,
      layers: [...new Set(vertex.inputs.flatMap((input) => this.#stacks.get(input) ?? []))],
      warm: () => [],
      avoid: new Set(),
    };
  }

  #decide(): void {
    this.#mostWaiting = Math.max(this.#mostWaiting, this.#scheduler.waiting);
    const before = performance.now();
    const assignments = this.#cpu.spend(() => this.#scheduler.decide(this.#now));
    const each = (performance.now() - before) / Math.max(assignments.length, 1);
    for (const { task, agentId } of assignments) {
      this.#decisions.push(each);
      this.#runs.get(task)?.(agentId);
    }
    const deadline = this.#scheduler.nextDeadline;
    if (deadline !== undefined && deadline > this.#now) this.#at(deadline, () => {});
  }

  #run(build: SimulatedBuild, vertex: SimulatedVertex, task: WaitingTask, agent: string, ended: () => void): void {
    this.#runs.delete(task);
    if (!this.#firstSteps.has(build.id)) this.#firstSteps.set(build.id, this.#now - build.arrival);
    this.#fairness.change(this.#now, build.tenant, vertex.cores, -vertex.cores);
    const missing = task.layers.filter((layer) => !this.#holders.get(layer)?.has(agent));
    this.#read += this.#sum(task.layers);
    this.#moved += this.#sum(missing);
    this.#least += this.#leastMissing(task);
    // The fetch is on the agent's books at once: a second task that wants the same layer waits for it, and does not fetch it again.
    for (const layer of missing) this.#holders.get(layer)?.add(agent);
    const place = this.#agent(agent);
    const { meter } = place;
    const fetched = new DisposableStack();
    if (missing.length > 0) fetched.use(meter.read());
    const there = place.bring(
      missing.map((layer) => [layer, this.#bytes.get(layer) ?? 0]),
      task.layers,
      this.#now,
    );
    this.#at(there, () => {
      meter.arrived(this.#sum(missing));
      fetched.dispose();
      if (missing.length > 0 && this.#options.measured) this.#tell(agent);
    });
    this.#at(there + vertex.seconds, () => {
      const layer = vertex.id as LayerId;
      this.#bytes.set(layer, vertex.outputBytes);
      this.#holders.set(layer, new Set([agent]));
      const below = this.#stacks.get(vertex.inputs[0] ?? "") ?? [];
      this.#stacks.set(vertex.id, [...below.slice(0, 1), ...below.slice(1).slice(2 - maxStack), layer]);
      this.#fairness.change(this.#now, build.tenant, -vertex.cores, 0);
      this.#cpu.spend(() => this.#scheduler.ended(task));
      this.#ends.set(build.id, this.#now);
      ended();
    });
  }

  #leastMissing(task: WaitingTask): number {
    const held = new Map<string, number>();
    for (const layer of task.layers) {
      const bytes = this.#bytes.get(layer) ?? 0;
      for (const agent of this.#holders.get(layer) ?? []) held.set(agent, (held.get(agent) ?? 0) + bytes);
    }
    return this.#sum(task.layers) - Math.max(0, ...held.values());
  }

  #sum(layers: readonly LayerId[]): number {
    return layers.reduce((sum, layer) => sum + (this.#bytes.get(layer) ?? 0), 0);
  }

  #at(at: number, run: () => void): void {
    this.#events.put({ at, order: this.#order++, run });
  }

  #result(): SimulationResult {
    const { agents, slots } = this.#options;
    const vertices = this.#workload.builds.flatMap((build) => build.vertices);
    const longest = this.#workload.builds.map((build) => {
      const ranks = upwardRanks(build.vertices.map((vertex) => ({ ...vertex, expectedSeconds: vertex.seconds })));
      return [...ranks.values()].reduce((most, rank) => Math.max(most, rank), 0);
    });
    const { builds } = this.#workload;
    const slowdowns = builds.map(({ id, arrival }, at) => ((this.#ends.get(id) ?? 0) - arrival) / (longest[at] ?? 1));
    const work = vertices.reduce((sum, vertex) => sum + vertex.seconds, 0);
    return {
      vertices: vertices.length,
      makespan: this.#now,
      bound: Math.max(
        builds.reduce((most, { arrival }, at) => Math.max(most, arrival + (longest[at] ?? 0)), 0),
        work / (agents * slots),
      ),
      utilization: work / (agents * slots * this.#now),
      movedBytes: this.#moved,
      leastBytes: this.#least,
      localShare: this.#read === 0 ? 1 : 1 - this.#moved / this.#read,
      schedulerMicros: this.#cpu.micros / vertices.length,
      mostWaiting: this.#mostWaiting,
      decisionMs: { median: quantile(this.#decisions, 0.5), p99: quantile(this.#decisions, 0.99) },
      fairness: this.#fairness.index,
      slowdown: quantile(slowdowns, 0.5),
      firstStepP95: quantile([...this.#firstSteps.values()], 0.95),
    };
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
