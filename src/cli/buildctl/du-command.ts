import type { Command } from "commander";
import { collect, withDaemon } from "../client-command.ts";
import type { CliContext } from "../context.ts";
import { formatHelp, parseTemplate } from "./go-template.ts";
import { usageValue } from "./messages.ts";
import { tabbed } from "./tab-writer.ts";
import { usageDetails, usageSummary, usageTableHeader, usageTableRow } from "./usage-table.ts";

interface DuFlags {
  readonly filter?: readonly string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildctl du` */
export function defineDuCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("-f, --filter <filter>", "only records that match", collect);
  command.option("-v, --verbose", "all there is to know about each record");
  command.option("--format <template>", formatHelp);
  command.action(async ({ filter = [], verbose, format }: DuFlags) => {
    const template = format && parseTemplate(format);
    const found = await withDaemon(command, signal, (control) => control.diskUsage(filter, signal));
    const records = found.toSorted((a, b) => a.Size - b.Size || (a.ID < b.ID ? -1 : 1));
    if (template) {
      stdout.write(`${template(records.map(usageValue))}\n`);
      return;
    }
    const lines = verbose ? records.flatMap(usageDetails) : [usageTableHeader, ...records.map(usageTableRow)];
    stdout.write(tabbed(lines));
    // Totals of a selection would say nothing about the disk.
    if (filter.length === 0) stdout.write(tabbed(usageSummary(records)));
  });
}
