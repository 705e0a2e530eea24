import { subjects } from "../../bus/index.ts";
import { AgentLostError } from "../../core/errors/agent-lost-error.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import { encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";

/** A task that so many heartbeats in a row do not name has ended without being heard. */
const missedHeartbeats = 3;
/** Heartbeats are two seconds apart. */
const heartbeatMs = 2000;
/** A minute of heartbeats that name a cancelled task: its agent cannot end it. */
const unheededHeartbeats = 30;
/** Cancels waiting for a word of their agent; more than these are of agents that never came back. */
const maxCancels = 10_000;

interface Watched {
  readonly onLost: (error: BuildError) => void;
  missed: number;
}

interface Cancel {
  readonly agentId: string;
  readonly taskId: string;
  readonly ended: PromiseWithResolvers<void>;
  /** Heartbeats that named the task nevertheless. */
  unheeded: number;
}

/**
 * Compares the tasks which agents say they run with those they ought to run: the bus may lose a message. A task that its agent
 * no longer knows is lost; a cancelled one that it still runs is cancelled again, and an agent that does not end it within a
 * minute is taken out of the fleet.
 */
export class RunningTasks implements Disposable {
  readonly #bus: MessageBus;
  readonly #registry: AgentRegistry;
  readonly #listener: Disposable;
  /** By agent, then by task. */
  readonly #watched = new Map<string, Map<string, Watched>>();
  /** By lease. */
  readonly #cancels = new Map<string, Cancel>();
  readonly #timer: NodeJS.Timeout;
  /** Agents heard since the timer: neither heartbeats in a row nor a clock that jumps make a minute shorter. */
  readonly #heard = new Set<string>();

  constructor(bus: MessageBus, registry: AgentRegistry) {
    this.#bus = bus;
    this.#registry = registry;
    this.#listener = registry.listen({
      agentHeard: (agent) => this.#compare(agent),
      agentLost: (id, reason) => this.#lose(id, reason),
    });
    this.#timer = setInterval(() => this.#heard.clear(), heartbeatMs);
  }

  /** Calls `onLost`, perhaps more than once, when the agent or its memory of the task is gone. Begins after it took the task. */
  watch(agent: AgentRecord, taskId: string, onLost: (error: BuildError) => void): Disposable {
    if (this.#registry.get(agent.id)?.epoch !== agent.epoch) onLost(new AgentLostError(agent.id, "restarted"));
    const tasks = this.#watched.get(agent.id) ?? new Map<string, Watched>();
    this.#watched.set(agent.id, tasks);
    tasks.set(taskId, { onLost, missed: 0 });
    return {
      [Symbol.dispose]: () => {
        tasks.delete(taskId);
        if (tasks.size === 0 && this.#watched.get(agent.id) === tasks) this.#watched.delete(agent.id);
      },
    };
  }

  /** Tells an agent to end a task, until it no longer runs there. @returns resolves then, or when the agent is lost */
  cancel(agentId: string, taskId: string, leaseId: string): Promise<void> {
    const ended = Promise.withResolvers<void>();
    this.#cancels.set(leaseId, { agentId, taskId, ended, unheeded: 0 });
    const [oldest] = this.#cancels.keys();
    if (this.#cancels.size > maxCancels && oldest !== undefined) this.#forget(oldest);
    if (this.#registry.get(agentId) === undefined) ended.resolve();
    this.#publish(agentId, taskId, leaseId);
    return ended.promise;
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    clearInterval(this.#timer);
  }

  #compare(agent: AgentRecord): void {
    const running = new Set(agent.running);
    for (const [taskId, watched] of this.#watched.get(agent.id) ?? []) {
      if (running.has(taskId)) watched.missed = 0;
      else if (++watched.missed >= missedHeartbeats) {
        watched.onLost(infrastructureError(`agent ${agent.id} no longer runs the task and its outcome was not heard`));
      }
    }
    let wedged = false;
    for (const [leaseId, cancel] of this.#cancels) {
      const { agentId, taskId } = cancel;
      if (agentId !== agent.id) continue;
      if (!running.has(taskId)) {
        this.#forget(leaseId);
        continue;
      }
      this.#publish(agentId, taskId, leaseId);
      if (!this.#heard.has(agentId)) wedged ||= ++cancel.unheeded >= unheededHeartbeats;
    }
    this.#heard.add(agent.id);
    if (wedged) this.#registry.evict(agent, wedgedReason);
  }

  #forget(leaseId: string): void {
    this.#cancels.get(leaseId)?.ended.resolve();
    this.#cancels.delete(leaseId);
  }

  #lose(agentId: string, reason: string): void {
    for (const { onLost } of this.#watched.get(agentId)?.values() ?? []) onLost(new AgentLostError(agentId, reason));
    for (const cancel of this.#cancels.values()) if (cancel.agentId === agentId) cancel.ended.resolve();
  }

  #publish(agentId: string, taskId: string, leaseId: string): void {
    this.#bus.publish(subjects.agentCancel(agentId), encode({ taskId, leaseId }));
  }
}

const wedgedReason = `it has not ended a cancelled task for ${(unheededHeartbeats * heartbeatMs) / 1000} s`;

function infrastructureError(message: string): BuildError {
  return new BuildError(Code.Unavailable, message, { infrastructure: true });
}
