import type { Command } from "commander";
import { type BuildHistoryEvent, BuildHistoryEventType } from "../../api/gen/control.ts";
import { timestampText } from "../../client/progress/index.ts";
import { withDaemon } from "../client-command.ts";
import type { CliContext } from "../context.ts";
import { textTable } from "../text-table.ts";

const typeNames = new Map(Object.entries(BuildHistoryEventType).map(([name, type]) => [type, name]));

/** `buildctl prune-histories`: removes the records of all builds that have ended and are not pinned. */
export function definePruneHistoriesCommand(command: Command, { signal, stdout }: CliContext): void {
  command.action(async () => {
    const removed = await withDaemon(command, signal, async (control) => {
      const rows: (readonly string[])[] = [];
      for await (const event of control.history({ EarlyExit: true }, signal)) {
        if (event.record === undefined || event.record.pinned) continue;
        await control.updateHistory({ Ref: event.record.Ref, Delete: true }, signal);
        rows.push(row(event.type, event.record));
      }
      return rows;
    });
    stdout.write(textTable([["TYPE", "REF", "CREATED", "COMPLETED", "GENERATION"], ...removed]));
  });
}

function row(type: BuildHistoryEventType, record: NonNullable<BuildHistoryEvent["record"]>): readonly string[] {
  const { Ref, CreatedAt, CompletedAt, Generation } = record;
  const time = (at: typeof CreatedAt) => (at === undefined ? "" : timestampText(at));
  return [typeNames.get(type) ?? "", Ref, time(CreatedAt), time(CompletedAt), String(Generation)];
}
