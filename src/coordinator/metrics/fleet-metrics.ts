import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { AgentRecord } from "../../core/values/agent.ts";
import { add, noResources } from "../../core/values/resources.ts";
import type { VertexOutcome } from "../../solver/index.ts";
import type { QueuedWork } from "../fleet/fleet-scheduler.ts";

export interface FleetMetricsSources {
  readonly agents: () => readonly AgentRecord[];
  readonly queue: () => readonly QueuedWork[];
  readonly buildsRunning: () => number;
}

export interface EndedBuild {
  readonly failed: boolean;
  readonly seconds: number;
  /** What became of each vertex. */
  readonly steps: readonly Pick<VertexOutcome, "how">[];
}

const secondsBuckets = [0.01, 0.05, 0.2, 1, 5, 20, 60, 300, 1200];
/** Label of agents that names their pool. */
const poolLabel = "pool";

/** The coordinator's figures for Prometheus. What can be read when asked for is; the rest is counted as it happens. */
export class FleetMetrics {
  readonly registry = new Registry();
  readonly #waits: Histogram<"kind">;
  readonly #tasks: Counter<"kind" | "result">;
  readonly #fetched: Counter;
  readonly #builds: Counter<"result">;
  readonly #buildSeconds: Histogram;
  readonly #steps: Counter<"result">;

  constructor(sources: FleetMetricsSources) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#waits = new Histogram({
      name: "buildfleet_task_wait_seconds",
      help: "From the wish for a task to the agent that takes it.",
      labelNames: ["kind"],
      buckets: secondsBuckets,
      registers,
    });
    this.#tasks = new Counter({
      name: "buildfleet_tasks_total",
      help: "Tasks that ended, by kind and result.",
      labelNames: ["kind", "result"],
      registers,
    });
    this.#fetched = new Counter({
      name: "buildfleet_fetched_bytes_total",
      help: "Unpacked bytes of layers that tasks brought to their agents, from other agents and from outside.",
      registers,
    });
    this.#builds = new Counter({
      name: "buildfleet_builds_total",
      help: "Builds that ended.",
      labelNames: ["result"],
      registers,
    });
    this.#buildSeconds = new Histogram({
      name: "buildfleet_build_seconds",
      help: "From the start of a build to its end.",
      buckets: secondsBuckets,
      registers,
    });
    this.#steps = new Counter({
      name: "buildfleet_steps_total",
      help: "Vertices of builds that ended, by what became of them: cached, ran, joined, failed, unused.",
      labelNames: ["result"],
      registers,
    });
    this.#gauge("buildfleet_builds_running", "Builds of this coordinator.", [], (set) =>
      set({}, sources.buildsRunning()),
    );
    this.#queueGauges(sources);
    this.#agentGauges(sources);
  }

  taskPlaced(kind: string, waitedMs: number): void {
    this.#waits.observe({ kind }, waitedMs / 1000);
  }

  bytesFetched(bytes: number): void {
    this.#fetched.inc(bytes);
  }

  taskEnded(kind: string, failed: boolean): void {
    this.#tasks.inc({ kind, result: failed ? "error" : "ok" });
  }

  buildEnded({ failed, seconds, steps }: EndedBuild): void {
    this.#builds.inc({ result: failed ? "error" : "ok" });
    this.#buildSeconds.observe(seconds);
    for (const { how } of steps) this.#steps.inc({ result: how });
  }

  /** What autoscaling goes by: work that waits here, in core-seconds, not the length of a queue. */
  #queueGauges({ queue }: FleetMetricsSources): void {
    const labels = ["platform", "pool"] as const;
    this.#gauge("buildfleet_queue_core_seconds", "Predicted work that waits for an agent.", labels, (set) => {
      for (const { platform, pool, coreSeconds } of queue()) set({ platform, pool }, coreSeconds);
    });
    this.#gauge("buildfleet_queue_tasks", "Tasks that wait for an agent.", labels, (set) => {
      for (const { platform, pool, tasks } of queue()) set({ platform, pool }, tasks);
    });
  }

  #agentGauges({ agents }: FleetMetricsSources): void {
    const pools = () => Map.groupBy(agents(), ({ labels }) => labels[poolLabel] ?? "");
    const sum = (name: string, help: string, value: (agent: AgentRecord) => number) =>
      this.#gauge(name, help, ["pool"], (set) => {
        for (const [pool, members] of pools())
          set(
            { pool },
            members.reduce((total, agent) => total + value(agent), 0),
          );
      });
    const occupied = (agent: AgentRecord) => Object.values(agent.occupied).reduce(add, noResources);
    sum("buildfleet_agents", "Agents that are heard.", () => 1);
    sum("buildfleet_agents_draining", "Agents that take nothing more.", ({ draining }) => Number(draining));
    sum("buildfleet_slots", "Steps that agents run at the same time.", ({ capacity }) => capacity.slots);
    sum("buildfleet_slots_used", "Steps that run.", (agent) => occupied(agent).slots);
    sum("buildfleet_cores", "Cores of agents.", ({ capacity }) => capacity.cpu);
    sum("buildfleet_cores_reserved", "Cores that running steps are expected to use.", (agent) => occupied(agent).cpu);
    sum("buildfleet_memory_bytes", "Memory of agents.", ({ capacity }) => capacity.memoryBytes);
    sum(
      "buildfleet_memory_reserved_bytes",
      "Memory that running steps are expected to use.",
      (agent) => occupied(agent).memoryBytes,
    );
    this.#transferGauges(agents);
    this.#gauge("buildfleet_agent_tasks", "Tasks that an agent runs, for all coordinators.", ["agent"], (set) => {
      for (const { id, running } of agents()) set({ agent: id }, running.length);
    });
  }

  /** Told in heartbeats; they count from the start of the agent. */
  #transferGauges(agents: FleetMetricsSources["agents"]): void {
    const each = (
      name: string,
      help: string,
      value: (transfers: NonNullable<AgentRecord["transfers"]>) => number | undefined,
    ) =>
      this.#gauge(name, help, ["agent"], (set) => {
        for (const { id, transfers } of agents()) {
          const known = transfers && value(transfers);
          if (known !== undefined) set({ agent: id }, known);
        }
      });
    each(
      "buildfleet_agent_received_bytes",
      "Bytes from other agents since it started.",
      ({ receivedBytes }) => receivedBytes,
    );
    each("buildfleet_agent_sent_bytes", "Bytes to other agents since it started.", ({ sentBytes }) => sentBytes);
    each(
      "buildfleet_agent_origin_bytes",
      "Bytes of layers from registries and clients since it started.",
      ({ originBytes }) => originBytes,
    );
    each(
      "buildfleet_agent_receive_bytes_per_second",
      "How fast layers come from other agents, which placement goes by.",
      ({ bytesPerSecond }) => bytesPerSecond,
    );
  }

  #gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    collect: (set: (labels: Record<Label, string>, value: number) => void) => void,
  ): void {
    const gauge: Gauge<Label> = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        gauge.reset();
        collect((labels, value) => gauge.set(labels, value));
      },
    });
  }
}
