import type { UsageRecord } from "./agent.ts";
import { matchesFilter } from "./containerd-filter.ts";

/** containerd filters over a usage record (map h12); no filter matches all, of several any one suffices. */
export function matchesUsageFilters(filters: readonly string[], record: UsageRecord): boolean {
  if (filters.length === 0) return true;
  const fields: Readonly<Record<string, string | undefined>> = {
    id: record.id,
    description: record.description,
    type: record.recordType,
    parents: record.parents.join(";"),
    inuse: record.inUse ? "true" : undefined,
    mutable: record.mutable ? "true" : undefined,
    immutable: record.mutable ? undefined : "true",
    shared: record.shared ? "true" : undefined,
    private: record.shared ? undefined : "true",
    agent: record.agentId,
  };
  return filters.some((filter) => matchesFilter(filter, ([name = ""]) => fields[name]));
}
