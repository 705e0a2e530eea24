import type { Command } from "commander";
import type { UsageRecord } from "../api/gen/control.ts";
import { formatBytes } from "../client/progress/index.ts";
import { collect, withDaemon } from "./client-command.ts";
import type { CliContext } from "./context.ts";
import { checkFormat } from "./output-format.ts";
import { textTable } from "./text-table.ts";
import { filtersOf, usageHeader, usageJson, usageRow, usageText } from "./usage-records.ts";

interface DuFlags {
  readonly filter?: readonly string[];
  readonly agent?: string;
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildfleet du` */
export function defineDuCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("-f, --filter <filter>", "only records that match, e.g. type==source.local, id~=^a", collect);
  command.option("--agent <id>", "only records on this agent");
  command.option("-v, --verbose", "all there is to know about each record");
  command.option("--format <format>", "table or json", "table");
  command.addHelpText("after", "\nSizes marked * are shared with other records; ids marked * still change.");
  command.action(async (flags: DuFlags) => {
    const { filter = [] } = flags;
    const json = checkFormat(flags.format) === "json";
    const found = await withDaemon(command, signal, (control) =>
      control.diskUsage(filtersOf(filter, flags.agent), signal),
    );
    const records = found.toSorted((a, b) => b.Size - a.Size);
    if (json) {
      stdout.write(`${JSON.stringify(records.map(usageJson), null, 2)}\n`);
      return;
    }
    stdout.write(flags.verbose ? records.map(usageText).join("") : textTable([usageHeader, ...records.map(usageRow)]));
    // Totals of a selection would say nothing about the disk.
    if (filter.length === 0) stdout.write(totals(records));
  });
}

function totals(records: readonly UsageRecord[]): string {
  const sum = (chosen: readonly UsageRecord[]) => chosen.reduce((total, { Size }) => total + Math.max(Size, 0), 0);
  const total = sum(records);
  const shared = sum(records.filter((record) => record.Shared));
  const rows = [
    ["Reclaimable:", formatBytes(sum(records.filter((record) => !record.InUse)))],
    ["Total:", formatBytes(total)],
  ];
  if (shared > 0) rows.unshift(["Shared:", formatBytes(shared)], ["Private:", formatBytes(total - shared)]);
  return textTable(rows);
}
