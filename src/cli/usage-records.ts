import type { UsageRecord } from "../api/gen/control.ts";
import { formatBytes, timestampText } from "../client/progress/index.ts";
import { textTable } from "./text-table.ts";

/** Disk usage as `buildctl du` shows it: `*` after an id means that it still changes, after a size that it is shared. */
export const usageHeader: readonly string[] = ["ID", "RECLAIMABLE", "SIZE", "DESCRIPTION"];

export function usageRow(record: UsageRecord): readonly string[] {
  const description = record.Description.replace(/\s+/g, " ");
  return [
    `${record.ID}${record.Mutable ? "*" : ""}`,
    String(!record.InUse),
    `${formatBytes(record.Size)}${record.Shared ? "*" : ""}`,
    description.length > 60 ? `${description.slice(0, 57)}...` : description,
  ];
}

/** Filters that match only what is on one agent, if one is named. */
export function filtersOf(filters: readonly string[] = [], agent?: string): readonly string[] {
  if (agent === undefined) return filters;
  const here = `agent==${JSON.stringify(agent)}`;
  return filters.length === 0 ? [here] : filters.map((filter) => `${here},${filter}`);
}

/** Everything about a record, one line each. */
export function usageText(record: UsageRecord): string {
  const rows = [
    ["ID:", record.ID],
    ["Parents:", record.Parents.join(";")],
    ["Created at:", record.CreatedAt === undefined ? "" : timestampText(record.CreatedAt)],
    ["Mutable:", String(record.Mutable)],
    ["Reclaimable:", String(!record.InUse)],
    ["Shared:", String(record.Shared)],
    ["Size:", formatBytes(record.Size)],
    ["Description:", record.Description],
    ["Usage count:", String(record.UsageCount)],
    ["Last used:", record.LastUsedAt === undefined ? "" : timestampText(record.LastUsedAt)],
    ["Type:", record.RecordType],
  ];
  return `${textTable(rows.filter(([, value]) => value !== ""))}\n`;
}

/** The form of `buildctl du --format json` (BuildKit client.UsageInfo). */
export function usageJson(record: UsageRecord) {
  return {
    id: record.ID,
    mutable: record.Mutable,
    inUse: record.InUse,
    size: record.Size,
    createdAt: record.CreatedAt === undefined ? null : timestampText(record.CreatedAt),
    lastUsedAt: record.LastUsedAt === undefined ? null : timestampText(record.LastUsedAt),
    usageCount: Number(record.UsageCount),
    parents: record.Parents,
    description: record.Description,
    recordType: record.RecordType,
    shared: record.Shared,
  };
}
