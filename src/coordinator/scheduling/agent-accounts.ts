import type { LayerId } from "../../core/values/layer.ts";
import { AgentAccount, type AgentState } from "./agent-account.ts";
import type { Choice } from "./agent-choice.ts";
import type { WaitingTask } from "./waiting-task.ts";

/** Agents that may run what has a requirement. */
export interface FittingAgents {
  readonly agents: ReadonlyMap<string, AgentAccount>;
  /** No agent of them has less. */
  readonly least: { readonly cpu: number; readonly memoryBytes: number };
}

const smallestStep = { slots: 1, cpu: 0, memoryBytes: 0 };

/** The books of all agents, and who has room. */
export class AgentAccounts {
  readonly #fits: (requirement: string, agentIds: readonly string[]) => readonly string[];
  readonly #agents = new Map<string, AgentAccount>();
  readonly #withRoom = new Set<AgentAccount>();
  /** By requirement; until agents come, go or change. */
  readonly #fitting = new Map<string, FittingAgents>();

  /** @param fits those of the agents that may run what has the requirement */
  constructor(fits: (requirement: string, agentIds: readonly string[]) => readonly string[]) {
    this.#fits = fits;
  }

  get size(): number {
    return this.#agents.size;
  }

  /** Agents with room for the smallest step. */
  get withRoom(): ReadonlySet<AgentAccount> {
    return this.#withRoom;
  }

  get(id: string): AgentAccount | undefined {
    return this.#agents.get(id);
  }

  heard(state: AgentState): void {
    const known = this.#agents.get(state.id);
    const agent = known ?? new AgentAccount(state);
    const { capacity } = agent;
    agent.update(state);
    const changed = capacity.cpu !== state.capacity.cpu || capacity.memoryBytes !== state.capacity.memoryBytes;
    if (known === undefined || changed) this.#fitting.clear();
    this.#agents.set(state.id, agent);
    this.#note(agent);
  }

  /** What agents offer has changed. */
  refit(): void {
    this.#fitting.clear();
  }

  lost(agent: AgentAccount): void {
    this.#agents.delete(agent.id);
    this.#withRoom.delete(agent);
    this.#fitting.clear();
  }

  /** @param largest of the layers that it opens */
  start({ agent, fetchSeconds }: Choice, task: WaitingTask, largest: LayerId | undefined, now: number): void {
    agent.start(task, now, fetchSeconds);
    if (largest !== undefined) agent.noteLayer(largest);
    this.#note(agent);
  }

  end(agent: AgentAccount, task: WaitingTask): void {
    agent.end(task);
    this.#note(agent);
  }

  close(agent: AgentAccount): void {
    agent.closed = true;
    this.#note(agent);
  }

  fitting(requirement: string): FittingAgents {
    const known = this.#fitting.get(requirement);
    if (known !== undefined) return known;
    const agents = new Map(
      this.#fits(requirement, [...this.#agents.keys()]).flatMap((id) => {
        const agent = this.#agents.get(id);
        return agent === undefined ? [] : [[id, agent] as const];
      }),
    );
    const least = { cpu: Number.POSITIVE_INFINITY, memoryBytes: Number.POSITIVE_INFINITY };
    for (const { capacity } of agents.values()) {
      least.cpu = Math.min(least.cpu, capacity.cpu);
      least.memoryBytes = Math.min(least.memoryBytes, capacity.memoryBytes);
    }
    const fitting = { agents, least };
    this.#fitting.set(requirement, fitting);
    return fitting;
  }

  anyRoom(requirement: string): boolean {
    const { agents } = this.fitting(requirement);
    return this.#withRoom.values().some((agent) => agents.has(agent.id));
  }

  #note(agent: AgentAccount): void {
    if (this.#agents.get(agent.id) === agent && agent.hasRoomFor(smallestStep)) this.#withRoom.add(agent);
    else this.#withRoom.delete(agent);
  }
}
