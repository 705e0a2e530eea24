import type { LayerId } from "../../core/values/layer.ts";
import type { Resources } from "../../core/values/resources.ts";
import type { AgentAccount } from "./agent-account.ts";
import type { FittingAgents } from "./agent-accounts.ts";
import type { IncomingLayers } from "./incoming-layers.ts";
import { isStep, type LayerLocations, type WaitingTask } from "./waiting-task.ts";

/** Where a task goes. */
export interface Choice {
  readonly agent: AgentAccount;
  /** Seconds until it can start there, those of copying weighted, and a little for company. */
  readonly cost: number;
  /** Until its inputs are there. */
  readonly fetchSeconds: number;
  /** Absent: it goes there now. Else it waits for the agent, no longer than so many seconds. */
  readonly waitSeconds?: number;
}

export interface ChoiceContext {
  readonly locations: LayerLocations;
  readonly incoming: IncomingLayers;
  /** Agents with room for a step. */
  readonly withRoom: ReadonlySet<AgentAccount>;
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
/** What a layer of unknown size is taken for. */
export const unknownLayerBytes = 32e6;
/** A full agent costs so much of a task's time more than an idle one, at most of a second. */
export const crowding = 0.5;
/** What a second of copying counts: it takes the links and disks of two agents from others, too. */
const copyWeight = 4;
/** No wait is longer: what runs there ends when it ends. One that is longer than this is no longer than the copy. */
const maxWaitSeconds = 30;
const freeWaitSeconds = 10;
/** A wait that saves less is none. */
export const minSavingSeconds = 0.2;
/** Steps behind a task that are thought of when it waits: they would wait at that agent again. */
const maxFollowers = 10;

/**
 * Earliest finish: what the agent's link brings already, the bytes to bring over its bandwidth, and a little for company. When a
 * holder of large inputs is busy, the task waits for it for a while (delay scheduling).
 * @param fitting agents that may run the task at all
 * @returns undefined when none of them has room
 */
export function chooseAgent(task: WaitingTask, fitting: FittingAgents, context: ChoiceContext): Choice | undefined {
  const waits = isStep(task) && context.mayWait;
  if (isStep(task) && !waits && context.withRoom.size === 0) return undefined;
  const open = eligible(task, fitting);
  const inputs = inputsOf(task, context);
  const fetch = (agent: AgentAccount) => {
    let missing = 0;
    let awaited = false;
    for (const input of inputs) {
      if (input.holders.has(agent.id)) continue;
      if (input.expecting.has(agent.id)) awaited = true;
      else missing += input.bytes;
    }
    const before = missing > 0 || awaited ? agent.linkBusy(context.now) : 0;
    return { before, copy: missing / agent.bandwidth };
  };
  const cost = (agent: AgentAccount) => {
    const { before, copy } = fetch(agent);
    return before + copyWeight * copy + crowding * agent.load * Math.min(task.expectedSeconds, 1);
  };
  const fetchSeconds = (agent: AgentAccount) => {
    const { before, copy } = fetch(agent);
    return before + copy;
  };
  const free = isStep(task) ? membersOf(context.withRoom, open) : [...open.values()];
  const allCompared = free.length <= maxHolders && !waits;
  const near = allCompared ? [] : holdersAmong(open, inputs, task.demand);
  const compared = allCompared ? free : [...near, ...leastLoaded(free, task)];
  const best = cheapest(
    compared.filter((agent) => agent.hasRoomFor(task.demand)),
    cost,
    context.tieBreak,
  );
  if (best === undefined) return undefined;
  const now = { ...best, fetchSeconds: fetchSeconds(best.agent) };
  if (!waits) return now;
  const busy = near.filter((agent) => !agent.closed && !agent.hasRoomFor(task.demand));
  const followers = Math.min(Math.max(task.rank / task.expectedSeconds, 1), maxFollowers);
  const delayed = (agent: AgentAccount) => agent.expectedWait(context.now) * followers + cost(agent);
  const later = cheapest(busy, delayed, context.tieBreak);
  if (later === undefined || later.cost + minSavingSeconds > best.cost) return now;
  const patience = Math.min(Math.max(freeWaitSeconds, now.fetchSeconds), maxWaitSeconds);
  if (later.agent.expectedWait(context.now) > patience) return now;
  return { ...later, fetchSeconds: 0, waitSeconds: Math.min(best.cost - cost(later.agent), patience) };
}

interface Input {
  readonly bytes: number;
  readonly holders: ReadonlySet<string>;
  /** Agents that will have it soon. */
  readonly expecting: Pick<ReadonlyMap<string, unknown>, "has" | "keys">;
}

function membersOf(some: ReadonlySet<AgentAccount>, all: ReadonlyMap<string, AgentAccount>): AgentAccount[] {
  const members: AgentAccount[] = [];
  for (const agent of some) if (all.has(agent.id)) members.push(agent);
  return members;
}

/** Agents that are large enough and where the task has not failed; of those that lack something any is better than none. */
function eligible(task: WaitingTask, { agents: fitting, least }: FittingAgents): ReadonlyMap<string, AgentAccount> {
  const { cpu, memoryBytes } = task.demand;
  if (task.avoid.size === 0 && cpu <= least.cpu && memoryBytes <= least.memoryBytes) return fitting;
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

/** Those who have most of the inputs, or will; of what many have, some who have it. */
function holdersAmong(
  agents: ReadonlyMap<string, AgentAccount>,
  inputs: readonly Input[],
  demand: Resources,
): AgentAccount[] {
  const held = new Map<AgentAccount, number>();
  for (const { bytes, holders, expecting } of inputs) {
    if (holders.size > maxHolders) continue;
    for (const ids of [holders.keys(), expecting.keys().take(maxHolders)]) {
      for (const id of ids) {
        const agent = agents.get(id);
        if (agent !== undefined) held.set(agent, (held.get(agent) ?? 0) + bytes);
      }
    }
  }
  const most = [...held].sort(([, a], [, b]) => b - a).slice(0, maxHolders);
  const found = new Set(most.map(([agent]) => agent));
  const common = inputs.find(({ holders }) => holders.size > maxHolders);
  const all = maxHolders + found.size;
  for (const id of common?.holders ?? []) {
    if (found.size >= all) break;
    const agent = agents.get(id);
    if (agent?.hasRoomFor(demand)) found.add(agent);
  }
  return [...found];
}

function leastLoaded(agents: readonly AgentAccount[], task: WaitingTask): AgentAccount[] {
  const best: AgentAccount[] = [];
  for (const agent of agents) {
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
