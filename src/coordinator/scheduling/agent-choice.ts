import type { LayerId } from "../../core/values/layer.ts";
import type { AgentAccount } from "./agent-account.ts";
import type { IncomingLayers } from "./incoming-layers.ts";
import type { LayerLocations, WaitingTask } from "./waiting-task.ts";

/** Where a task goes. */
export interface Choice {
  readonly agent: AgentAccount;
  /** Seconds until it can start there, and a little for company. */
  readonly cost: number;
  /** Absent: it goes there now. Else it waits for the agent, no longer than so many seconds. */
  readonly waitSeconds?: number;
}

export interface ChoiceContext {
  readonly locations: LayerLocations;
  readonly incoming: IncomingLayers;
  /** Seconds. */
  readonly now: number;
  /** Orders agents which are equally good; differs between coordinators, so that they do not all take the same. */
  readonly tieBreak: (agentId: string) => number;
  /** The task may wait for a holder of its inputs. */
  readonly mayWait: boolean;
}

/** Agents that are compared closely; the others of a large fleet are only counted through. */
const maxHolders = 32;
const maxIdle = 16;
/** Inputs whose holders are looked for, largest first. */
const maxInputs = 8;
/** What a layer of unknown size is taken for. */
const unknownLayerBytes = 32e6;
/** A full agent costs so much of a task's time more than an idle one, at most of a second. */
export const crowding = 0.5;
/** No wait is longer: what runs there ends when it ends. */
const maxWaitSeconds = 30;
/** A wait that saves less is none. */
export const minSavingSeconds = 0.2;
/** Steps behind a task that are thought of when it waits: they would wait at that agent again. */
const maxFollowers = 10;

/**
 * Earliest finish: the bytes to bring over the agent's bandwidth, and a little for company. When a holder of large inputs is
 * busy, the task waits for it, but no longer than the copy to the best free agent would take (delay scheduling).
 * @param fitting agents that may run the task at all, by id
 * @returns undefined when none of them has room
 */
export function chooseAgent(
  task: WaitingTask,
  fitting: ReadonlyMap<string, AgentAccount>,
  context: ChoiceContext,
): Choice | undefined {
  const open = eligible(task, fitting);
  const inputs = inputsOf(task, context);
  const cost = (agent: AgentAccount) => {
    let bytes = 0;
    for (const input of inputs) if (!isAt(agent.id, input)) bytes += input.bytes;
    return bytes / agent.bandwidth + crowding * agent.load * Math.min(task.expectedSeconds, 1);
  };
  const near = holdersAmong(open, inputs);
  const free = [...near, ...leastLoaded(open, task)].filter((agent) => agent.hasRoomFor(task.demand));
  const best = cheapest(free, cost, context.tieBreak);
  if (best === undefined || task.demand.slots === 0 || !context.mayWait) return best;
  const busy = near.filter((agent) => !agent.closed && !agent.hasRoomFor(task.demand));
  const followers = Math.min(Math.max(task.rank / task.expectedSeconds, 1), maxFollowers);
  const delayed = (agent: AgentAccount) => agent.expectedWait(context.now) * followers + cost(agent);
  const later = cheapest(busy, delayed, context.tieBreak);
  if (later === undefined || later.cost > maxWaitSeconds || later.cost + minSavingSeconds > best.cost) return best;
  return { ...later, waitSeconds: Math.min(best.cost - cost(later.agent), maxWaitSeconds) };
}

interface Input {
  readonly bytes: number;
  readonly holders: ReadonlySet<string>;
  /** Agents that will have it soon. */
  readonly expecting: Pick<ReadonlyMap<string, unknown>, "has" | "keys">;
}

function isAt(agentId: string, { holders, expecting }: Input): boolean {
  return holders.has(agentId) || expecting.has(agentId);
}

/** Agents that are large enough and where the task has not failed; of those that lack something any is better than none. */
function eligible(task: WaitingTask, fitting: ReadonlyMap<string, AgentAccount>): ReadonlyMap<string, AgentAccount> {
  const shunned = (agent: AgentAccount) => task.avoid.has(agent.id);
  const small = (agent: AgentAccount) => !agent.isLargeEnoughFor(task.demand);
  for (const lacks of [(agent: AgentAccount) => shunned(agent) || small(agent), small, shunned]) {
    if (!fitting.values().some(lacks)) return fitting;
    const open = new Map([...fitting].filter(([, agent]) => !lacks(agent)));
    if (open.size > 0) return open;
  }
  return fitting;
}

const nobody = new Map<string, never>();

/** Largest first. */
function inputsOf(task: WaitingTask, { locations, incoming }: ChoiceContext): Input[] {
  const layer = (id: LayerId): Input => ({
    bytes: locations.bytes(id) || unknownLayerBytes,
    holders: locations.holders(id),
    expecting: incoming.agents(id),
  });
  const warm = task.warm().map((data): Input => ({ ...data, expecting: nobody }));
  return [...task.layers.map(layer), ...warm].sort((a, b) => b.bytes - a.bytes);
}

/** Those who have the largest inputs, or will. */
function holdersAmong(agents: ReadonlyMap<string, AgentAccount>, inputs: readonly Input[]): AgentAccount[] {
  const found = new Set<AgentAccount>();
  for (const { holders, expecting } of inputs.slice(0, maxInputs)) {
    for (const ids of [holders.keys(), expecting.keys()]) {
      for (const id of ids) {
        if (found.size >= maxHolders) return [...found];
        const agent = agents.get(id);
        if (agent !== undefined) found.add(agent);
      }
    }
  }
  return [...found];
}

function leastLoaded(agents: ReadonlyMap<string, AgentAccount>, task: WaitingTask): AgentAccount[] {
  const best: AgentAccount[] = [];
  for (const agent of agents.values()) {
    const last = best.at(-1);
    if (best.length >= maxIdle && last !== undefined && agent.load >= last.load) continue;
    if (!agent.hasRoomFor(task.demand)) continue;
    const at = best.findIndex((other) => agent.load < other.load);
    best.splice(at === -1 ? best.length : at, 0, agent);
    if (best.length > maxIdle) best.pop();
  }
  return best;
}

function cheapest(
  agents: readonly AgentAccount[],
  costOf: (agent: AgentAccount) => number,
  tieBreak: (agentId: string) => number,
): { readonly agent: AgentAccount; readonly cost: number } | undefined {
  let best: { readonly agent: AgentAccount; readonly cost: number } | undefined;
  for (const agent of agents) {
    const cost = costOf(agent);
    const tie = best !== undefined && cost === best.cost && tieBreak(agent.id) < tieBreak(best.agent.id);
    if (best === undefined || cost < best.cost || tie) best = { agent, cost };
  }
  return best;
}
