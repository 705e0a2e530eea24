import type { UsageRecord } from "../../api/gen/control.ts";
import { formatBytes } from "../../client/progress/index.ts";
import { goTimeText } from "./go-text.ts";
import type { Line } from "./tab-writer.ts";

/** Disk usage as buildctl lays it out (cmd/buildctl/diskusage.go). */
export const usageTableHeader: Line = ["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"];

/** The last column is empty in buildctl, too. */
export function usageTableRow({ ID, Mutable, InUse, Size, Shared }: UsageRecord): Line {
  const id = `${ID}${Mutable ? "*" : ""}`;
  return [id.padEnd(71), String(!InUse).padEnd(11), `${formatBytes(Size)}${Shared ? "*" : ""}`, ""];
}

export function usageDetails(record: UsageRecord): readonly Line[] {
  const { Parents, CreatedAt, Description, LastUsedAt, RecordType } = record;
  return [
    ["ID:", record.ID],
    ...(Parents.length === 0 ? [] : [["Parents:", Parents.join(";")]]),
    ["Created at:", goTimeText(CreatedAt)],
    ["Mutable:", String(record.Mutable)],
    ["Reclaimable:", String(!record.InUse)],
    ["Shared:", String(record.Shared)],
    ["Size:", formatBytes(record.Size)],
    ...(Description === "" ? [] : [["Description:", Description]]),
    ["Usage count:", String(record.UsageCount)],
    ...(LastUsedAt === undefined ? [] : [["Last used:", goTimeText(LastUsedAt)]]),
    ...(RecordType === "" ? [] : [["Type:", RecordType]]),
    [""],
  ];
}

export function usageSummary(records: readonly UsageRecord[]): readonly Line[] {
  const sum = (chosen: readonly UsageRecord[]) => chosen.reduce((total, { Size }) => total + Math.max(Size, 0), 0);
  const total = sum(records);
  const shared = sum(records.filter(({ Shared }) => Shared));
  return [
    ...(shared === 0
      ? []
      : [
          ["Shared:", formatBytes(shared)],
          ["Private:", formatBytes(total - shared)],
        ]),
    ["Reclaimable:", formatBytes(sum(records.filter(({ InUse }) => !InUse)))],
    ["Total:", formatBytes(total)],
  ];
}
