import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { AgentRecord } from "../../core/values/agent.ts";
import { formatPlatform, type Platform, samePlatform } from "../../core/values/platform.ts";
import { matchesWorkerFilters } from "./worker-filter.ts";

/** What an agent must be to run a task. */
interface Requirement {
  readonly platform?: Platform;
  /** Worker filters of the op. */
  readonly constraints: readonly string[];
  /** Names. */
  readonly devices: readonly string[];
}

/** A name for what a task requires: tasks that any agent would treat alike have the same. */
export function requirementName(
  platform: Platform | undefined,
  constraints: readonly string[] = [],
  devices: readonly string[] = [],
): string {
  const requirement: Requirement = { ...(platform && { platform }), constraints, devices };
  return JSON.stringify(requirement);
}

/** Worker filter for the agents of a pool. */
export function poolFilter(pool: string): string {
  return `labels.pool==${pool}`;
}

/** What autoscaling tells apart: the platform, and the pool that a worker filter names; empty for any. */
export function requirementLabels(name: string): { readonly platform: string; readonly pool: string } {
  const { platform, constraints } = JSON.parse(name) as Requirement;
  const pools = constraints.flatMap((filter) => /(?:^|,)labels\.(?:"pool"|pool)==([\w.-]+)/.exec(filter)?.[1] ?? []);
  return { platform: platform === undefined ? "" : formatPlatform(platform), pool: pools[0] ?? "" };
}

/** The agents that may run what has the requirement. */
export function fittingAgents(name: string, agents: readonly AgentRecord[]): readonly AgentRecord[] {
  const { platform, constraints, devices } = JSON.parse(name) as Requirement;
  const has = (agent: AgentRecord, wanted: string) => agent.devices?.some((device) => device.name === wanted) ?? false;
  const constrained = agents.filter(
    (agent) => matchesWorkerFilters(constraints, agent) && devices.every((device) => has(agent, device)),
  );
  if (platform === undefined) return constrained;
  const runs = (matches: (offered: Platform) => boolean) =>
    constrained.filter((agent) => agent.platforms.some(matches));
  const same = runs((offered) => samePlatform(offered, platform));
  const native = same.filter(({ platforms: [own] }) => own?.architecture === platform.architecture);
  if (native.length > 0) return native;
  // A step may name a platform and yet run programs of this machine, as cross compilers do; BuildKit lets it try.
  return same.length > 0 ? same : runs((offered) => offered.os === platform.os);
}

/** For a step that failed: its platform, if no agent runs programs for it. */
export function missingPlatform(platform: Platform | undefined, agents: readonly AgentRecord[]): string | undefined {
  if (platform === undefined || agents.some((agent) => agent.platforms.some((own) => samePlatform(own, platform)))) {
    return undefined;
  }
  const offered = [...new Set(agents.flatMap((agent) => agent.platforms.map(formatPlatform)))].join(", ");
  const name = formatPlatform(platform);
  return `no agent runs programs for ${name}, natively or emulated: the ${agents.length} in the fleet run ${offered}`;
}

/** Why none of the agents fits. */
export function unmetRequirement(name: string, agents: readonly AgentRecord[]): BuildError {
  const { platform, constraints, devices } = JSON.parse(name) as Requirement;
  const wanted = [
    ...(platform === undefined ? [] : [`platform ${formatPlatform(platform)}`]),
    ...constraints.map((filter) => `worker filter ${JSON.stringify(filter)}`),
    ...devices.map((device) => `device ${JSON.stringify(device)}`),
  ].join(" and ");
  const offered = [...new Set(agents.flatMap((agent) => agent.platforms.map(formatPlatform)))].join(", ");
  return new BuildError(
    Code.FailedPrecondition,
    `no agent offers ${wanted}: the ${agents.length} in the fleet offer ${offered}`,
  );
}
