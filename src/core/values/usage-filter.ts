import { BuildError } from "../errors/build-error.ts";
import type { UsageRecord } from "./agent.ts";
import { checkFilters, parseFilter } from "./containerd-filter.ts";

/**
 * containerd filters over usage records (map h12); no filter matches all, of several any one suffices.
 * @throws BuildError when a filter cannot be read
 */
export function usageFilter(filters: readonly string[]): (record: UsageRecord) => boolean {
  const parsed = filters.map(parseFilter);
  return (record) => parsed.length === 0 || parsed.some((matches) => matches(([name = ""]) => fieldOf(record, name)));
}

function fieldOf(record: UsageRecord, name: string): string | undefined {
  const text = (value: string) => (value === "" ? undefined : value);
  const flag = (value: boolean) => (value ? "" : undefined);
  switch (name) {
    case "id":
      return text(record.id);
    case "description":
      return text(record.description);
    case "type":
      return text(record.recordType);
    case "parents":
      return text(record.parents.join(";"));
    case "inuse":
      return flag(record.inUse);
    case "mutable":
      return flag(record.mutable);
    case "immutable":
      return flag(!record.mutable);
    case "shared":
      return flag(record.shared);
    case "private":
      return flag(!record.shared);
    // Ours: BuildKit's records do not name their worker.
    case "agent":
      return text(record.agentId);
    default:
      return undefined;
  }
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
