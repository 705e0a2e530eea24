import type { AgentRecord } from "../../core/values/agent.ts";
import { samePlatform } from "../../core/values/platform.ts";
import { rendezvous } from "../../util/rendezvous.ts";
import type { AgentRegistry } from "./agent-registry.ts";

/** Agents that are asked to take something before it is left. */
const maxTakers = 3;

/** Agents that stay when one leaves; of its own platform if there are any. */
export function takers(registry: Pick<AgentRegistry, "agents" | "get">, agentId: string): readonly AgentRecord[] {
  const platform = registry.get(agentId)?.platforms[0];
  const others = registry.agents.filter(({ id, draining }) => id !== agentId && !draining);
  const alike = others.filter(({ platforms: [own] }) => platform && own && samePlatform(own, platform));
  return alike.length > 0 ? alike : others;
}

/** Those to ask for what has this key, in order. */
export function takersOf(
  key: string,
  registry: Pick<AgentRegistry, "agents" | "get">,
  agentId: string,
): readonly string[] {
  const ids = takers(registry, agentId).map(({ id }) => id);
  return rendezvous(key, ids).slice(0, maxTakers);
}
