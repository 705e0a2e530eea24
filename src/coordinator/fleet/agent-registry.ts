import { subjects } from "../../bus/index.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import type { AgentEviction, CoordinatorBeat } from "../../core/values/agent-control.ts";
import type { CdiDevice } from "../../core/values/cdi-device.ts";
import { withSignal } from "../../util/abort.ts";
import { decode, encode } from "../../util/msgpack.ts";

const checkIntervalMs = 1000;
/**
 * Three missed heartbeats of two seconds. Counted in checks, not by the clock: neither a clock that jumps nor a coordinator
 * that could not listen for a while makes agents look dead.
 */
const lostAfterChecks = 6;

export interface AgentRegistryOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly logger: Logger;
}

/** What happened to the fleet; handlers are called synchronously. */
export interface FleetListener {
  /** Each heartbeat: a new agent, one that came back under a new epoch, or one as before. */
  agentHeard(agent: AgentRecord): void;
  /** Silent for too long, or restarted. What ran there is lost. */
  agentLost(agentId: string, reason: string): void;
}

/** The agents this coordinator hears, from their heartbeats. Soft state: a restarted coordinator asks and knows them again. */
export class AgentRegistry implements Disposable {
  readonly #options: AgentRegistryOptions;
  readonly #agents = new Map<string, { readonly record: AgentRecord; silentChecks: number }>();
  readonly #listeners = new Set<FleetListener>();
  /** Agents that are not heard any more, and the epoch in which they are not. */
  readonly #evicted = new Map<string, string>();
  readonly #subscriptions: readonly Disposable[];
  readonly #timer: NodeJS.Timeout;

  constructor(options: AgentRegistryOptions) {
    this.#options = options;
    const { bus } = options;
    this.#subscriptions = [
      bus.subscribe(subjects.allAgentHeartbeats, ({ data }) => this.#hear(decode<AgentRecord>(data))),
      bus.subscribe(subjects.agentsEvicted, ({ data }) => this.#evicts(decode<AgentEviction>(data))),
    ];
    this.#timer = setInterval(() => this.#tick(), checkIntervalMs);
    this.#beat();
    bus.publish(subjects.rollCall, encode({ id: options.coordinatorId }));
  }

  /** Agents alive now, in order of id. */
  get agents(): readonly AgentRecord[] {
    return [...this.#agents.values()].map(({ record }) => record).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Devices of each agent, in the same order. */
  devices(): readonly (readonly CdiDevice[])[] {
    return this.agents.map((agent) => agent.devices ?? []);
  }

  get(id: string): AgentRecord | undefined {
    return this.#agents.get(id)?.record;
  }

  /** Resolves once an agent is there. */
  async waitForAgent(signal?: AbortSignal): Promise<void> {
    if (this.#agents.size > 0) return;
    const heard = Promise.withResolvers<void>();
    using _listener = this.listen({ agentHeard: () => heard.resolve(), agentLost: () => {} });
    await withSignal(heard.promise, signal);
  }

  /** Takes an agent out of the fleet, for all coordinators, until its process starts anew. What runs there is lost. */
  evict({ id, epoch }: AgentRecord, reason: string): void {
    this.#options.bus.publish(subjects.agentsEvicted, encode({ agentId: id, epoch, reason } satisfies AgentEviction));
  }

  listen(listener: FleetListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#beat(true);
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  #evicts({ agentId, epoch, reason }: AgentEviction): void {
    this.#evicted.set(agentId, epoch);
    if (this.#agents.get(agentId)?.record.epoch === epoch) this.#lose(agentId, `evicted: ${reason}`);
  }

  #hear(record: AgentRecord): void {
    if (this.#evicted.get(record.id) === record.epoch) return;
    this.#evicted.delete(record.id);
    const before = this.#agents.get(record.id)?.record;
    if (record.leaving === true) {
      if (before !== undefined) this.#lose(record.id, "left the fleet");
      return;
    }
    if (before !== undefined && before.epoch !== record.epoch) this.#lose(record.id, "restarted");
    if (before === undefined)
      this.#options.logger.info("agent joined", { agent: record.id, capacity: record.capacity });
    this.#agents.set(record.id, { record, silentChecks: 0 });
    for (const listener of this.#listeners) listener.agentHeard(record);
  }

  #tick(): void {
    this.#beat();
    for (const [id, agent] of this.#agents) {
      if (++agent.silentChecks <= lostAfterChecks) continue;
      this.#lose(id, `no heartbeat for ${(lostAfterChecks * checkIntervalMs) / 1000} s`);
    }
  }

  #lose(id: string, reason: string): void {
    this.#agents.delete(id);
    this.#options.logger.warn("agent lost", { agent: id, reason });
    for (const listener of this.#listeners) listener.agentLost(id, reason);
  }

  #beat(leaving = false): void {
    const { coordinatorId, bus } = this.#options;
    const beat: CoordinatorBeat = { id: coordinatorId, ...(leaving ? { leaving } : {}) };
    bus.publish(subjects.coordinatorHeartbeat(coordinatorId), encode(beat));
  }
}
