import type { Command } from "commander";
import { withDaemon } from "../client-command.ts";
import type { CliContext } from "../context.ts";
import { formatHelp, parseTemplate } from "./go-template.ts";
import { historyHeader, historyRow } from "./history-table.ts";
import { eventValue } from "./messages.ts";
import { tabbed } from "./tab-writer.ts";

/** `buildctl prune-histories`: removes the records of all builds that have ended and are not pinned. */
export function definePruneHistoriesCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--format <template>", `${formatHelp}; for each record`);
  command.action(async ({ format }: { readonly format?: string }) => {
    const template = format && parseTemplate(format);
    const removed = await withDaemon(command, signal, async (control) => {
      const events = [];
      for await (const event of control.history({ EarlyExit: true }, signal)) {
        if (event.record === undefined || event.record.pinned) continue;
        await control.updateHistory({ Ref: event.record.Ref, Delete: true }, signal);
        if (template) stdout.write(`${template(eventValue(event))}\n`);
        else events.push(event);
      }
      return events;
    });
    if (!template) stdout.write(tabbed([historyHeader, ...removed.map(historyRow)]));
  });
}
