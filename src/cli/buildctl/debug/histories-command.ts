import type { Command } from "commander";
import { withDaemon } from "../../client-command.ts";
import type { CliContext } from "../../context.ts";
import { formatHelp, parseTemplate } from "../go-template.ts";
import { historyHeader, historyRow } from "../history-table.ts";
import { eventValue } from "../messages.ts";
import { type Line, tabbed } from "../tab-writer.ts";

/** `buildctl debug histories` */
export function defineHistoriesCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--format <template>", `${formatHelp}; for each record`);
  command.action(async ({ format }: { readonly format?: string }) => {
    const template = format && parseTemplate(format);
    await withDaemon(command, signal, async (control) => {
      const lines: Line[] = [[...historyHeader, "PINNED"]];
      for await (const event of control.history({ EarlyExit: true }, signal)) {
        if (template) stdout.write(`${template(eventValue(event))}\n`);
        else lines.push([...historyRow(event), event.record?.pinned ? "*" : ""]);
      }
      if (!template) stdout.write(tabbed(lines));
    });
  });
}
