import { BuildError } from "../errors/build-error.ts";
import type { UsageRecord } from "./agent.ts";
import { checkFilters, matchesFilter } from "./containerd-filter.ts";

/** containerd filters over a usage record (map h12); no filter matches all, of several any one suffices. */
export function matchesUsageFilters(filters: readonly string[], record: UsageRecord): boolean {
  if (filters.length === 0) return true;
  const text = (value: string) => (value === "" ? undefined : value);
  const flag = (value: boolean) => (value ? "" : undefined);
  const fields: Readonly<Record<string, string | undefined>> = {
    id: text(record.id),
    description: text(record.description),
    type: text(record.recordType),
    parents: text(record.parents.join(";")),
    inuse: flag(record.inUse),
    mutable: flag(record.mutable),
    immutable: flag(!record.mutable),
    shared: flag(record.shared),
    private: flag(!record.shared),
    // Ours: BuildKit's records do not name their worker.
    agent: text(record.agentId),
  };
  return filters.some((filter) => matchesFilter(filter, ([name = ""]) => fields[name]));
}

/**
 * @param what begins the message
 * @throws BuildError Unknown, as BuildKit, when a filter cannot be read
 */
export function checkUsageFilters(filters: readonly string[], what: string): void {
  try {
    checkFilters(filters);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse ${what} filters [${filters.join(" ")}]`);
  }
}
