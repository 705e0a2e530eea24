import { subjects } from "../bus/index.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { AgentRecord } from "../core/values/agent.ts";
import { encode } from "../util/msgpack.ts";

/** Coordinators take an agent for lost after three of these are missed. */
export const heartbeatIntervalMs = 2000;

/** Tells all coordinators of this agent: every two seconds, when asked, and when it changes in a way they must know. */
export class Heartbeat implements Disposable {
  readonly #bus: MessageBus;
  readonly #record: () => AgentRecord;
  readonly #timer: NodeJS.Timeout;
  readonly #rollCall: Disposable;

  /** @param onBeat called with each regular beat */
  constructor(bus: MessageBus, record: () => AgentRecord, onBeat: () => void) {
    this.#bus = bus;
    this.#record = record;
    this.#timer = setInterval(() => {
      onBeat();
      this.beat();
    }, heartbeatIntervalMs);
    this.#rollCall = bus.subscribe(subjects.rollCall, () => this.beat());
    this.beat();
  }

  beat(): void {
    const record = this.#record();
    this.#bus.publish(subjects.agentHeartbeat(record.id), encode(record));
  }

  /** Says good-bye. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#rollCall[Symbol.dispose]();
    const record = this.#record();
    this.#bus.publish(subjects.agentHeartbeat(record.id), encode({ ...record, leaving: true }));
  }
}
