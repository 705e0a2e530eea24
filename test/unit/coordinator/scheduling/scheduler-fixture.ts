import type { AgentState } from "../../../../src/coordinator/scheduling/agent-account.ts";
import { Scheduler } from "../../../../src/coordinator/scheduling/scheduler.ts";
import type { WaitingTask } from "../../../../src/coordinator/scheduling/waiting-task.ts";
import type { BuildShare } from "../../../../src/core/values/build-share.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import { noResources } from "../../../../src/core/values/resources.ts";

/** Layers by name: bytes and holders. */
export type Layers = Readonly<Record<string, { readonly bytes: number; readonly holders: readonly string[] }>>;

export function schedulerWith(
  layers: Layers = {},
  mayRun: (agent: string, requirement: string) => boolean = () => true,
) {
  return new Scheduler({
    locations: {
      bytes: (layer) => layers[layer]?.bytes ?? 0,
      holders: (layer) => new Set(layers[layer]?.holders ?? []),
    },
    fitting: (requirement, agents) => agents.filter((id) => mayRun(id, requirement)),
    tieBreak: (id) => Number.parseInt(id, 36),
  });
}

export function agent(id: string, more: Partial<AgentState> = {}): AgentState {
  const capacity = { slots: 1, cpu: 4, memoryBytes: 8e9 };
  return { id, capacity, foreign: noResources, bandwidth: 100e6, ...more };
}

export function share(build: string, more: Partial<BuildShare> = {}): BuildShare {
  return { build, tenant: "tenant", priority: 0, weight: 1, ...more };
}

export function step(
  id: string,
  more: Partial<Omit<WaitingTask, "layers">> & { layers?: readonly string[] } = {},
): WaitingTask {
  const { layers = [], ...rest } = more;
  return {
    id,
    share: share("build"),
    requirement: "",
    demand: { slots: 1, cpu: 1, memoryBytes: 1e9 },
    rank: 1,
    expectedSeconds: 1,
    warm: () => [],
    avoid: new Set(),
    ...rest,
    layers: layers as readonly LayerId[],
  };
}

/** `task@agent`, in the order of decision. */
export function decided(scheduler: Scheduler, now = 0): string[] {
  return scheduler.decide(now).map(({ task, agentId }) => `${task.id}@${agentId}`);
}
