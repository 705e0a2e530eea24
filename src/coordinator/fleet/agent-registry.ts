import { subjects } from "../../bus/index.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import { withSignal } from "../../util/abort.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** Three missed heartbeats of two seconds. */
const lostAfterMs = 6000;
const checkIntervalMs = 1000;

export interface AgentRegistryOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What happened to the fleet; handlers are called synchronously. */
export interface FleetListener {
  /** New, or came back under a new epoch, or changed (slots, draining, running). */
  agentHeard(agent: AgentRecord): void;
  /** Silent for too long, restarted, or said good-bye. What ran there is lost. */
  agentLost(agentId: string, reason: string): void;
}

/** The agents this coordinator hears, from their heartbeats. Soft state: a restarted coordinator asks and knows them again. */
export class AgentRegistry implements Disposable {
  readonly #options: AgentRegistryOptions;
  readonly #agents = new Map<string, { readonly record: AgentRecord; readonly heardAt: number }>();
  readonly #listeners = new Set<FleetListener>();
  readonly #subscription: Disposable;
  readonly #timer: NodeJS.Timeout;

  constructor(options: AgentRegistryOptions) {
    this.#options = options;
    this.#subscription = options.bus.subscribe(subjects.allAgentHeartbeats, (message) => {
      this.#hear(decode<AgentRecord>(message.data));
    });
    this.#timer = setInterval(() => this.#tick(), checkIntervalMs);
    this.#beat();
    options.bus.publish(subjects.rollCall, encode({ id: options.coordinatorId }));
  }

  /** Agents alive now, in order of id. */
  get agents(): readonly AgentRecord[] {
    return [...this.#agents.values()].map(({ record }) => record).sort((a, b) => (a.id < b.id ? -1 : 1));
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

  listen(listener: FleetListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#subscription[Symbol.dispose]();
  }

  #hear(record: AgentRecord): void {
    const before = this.#agents.get(record.id)?.record;
    if (before !== undefined && before.epoch !== record.epoch) this.#lose(record.id, "restarted");
    if (before === undefined) this.#options.logger.info("agent joined", { agent: record.id, slots: record.slots });
    this.#agents.set(record.id, { record, heardAt: this.#options.clock.now() });
    for (const listener of this.#listeners) listener.agentHeard(record);
  }

  #tick(): void {
    this.#beat();
    const now = this.#options.clock.now();
    for (const [id, { heardAt }] of this.#agents) {
      if (now - heardAt > lostAfterMs) this.#lose(id, `no heartbeat for ${now - heardAt} ms`);
    }
  }

  #lose(id: string, reason: string): void {
    this.#agents.delete(id);
    this.#options.logger.warn("agent lost", { agent: id, reason });
    for (const listener of this.#listeners) listener.agentLost(id, reason);
  }

  #beat(): void {
    const { coordinatorId, bus } = this.#options;
    bus.publish(subjects.coordinatorHeartbeat(coordinatorId), encode({ id: coordinatorId }));
  }
}
