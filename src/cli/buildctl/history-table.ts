import type { BuildHistoryEvent } from "../../api/gen/control.ts";
import { localTimeText } from "./go-text.ts";
import { eventName } from "./messages.ts";
import type { Line } from "./tab-writer.ts";

export const historyHeader: Line = ["TYPE", "REF", "CREATED", "COMPLETED", "GENERATION"];

/** Records as buildctl lays them out (cmd/buildctl/prunehistories.go). */
export function historyRow({ type, record }: BuildHistoryEvent): Line {
  const generation = String(record?.Generation ?? 0);
  return [
    eventName(type),
    record?.Ref ?? "",
    localTimeText(record?.CreatedAt),
    localTimeText(record?.CompletedAt),
    generation,
  ];
}
