import type { AgentRecord } from "../../core/values/agent.ts";
import { matchesFilter } from "../../core/values/containerd-filter.ts";

/**
 * containerd filters over a worker: `id==x`, `labels."key"==value`, `~=` for a regular expression, a bare field for presence,
 * joined by commas (BuildKit worker/filter.go). Of several filters any one suffices.
 */
export function matchesWorkerFilters(filters: readonly string[], agent: Pick<AgentRecord, "id" | "labels">): boolean {
  return filters.length === 0 || filters.some((filter) => matchesFilter(filter, (path) => workerField(path, agent)));
}

function workerField(path: readonly string[], agent: Pick<AgentRecord, "id" | "labels">): string | undefined {
  if (path[0] === "id") return agent.id;
  if (path[0] === "labels") return agent.labels[path.slice(1).join(".")];
  return undefined;
}
