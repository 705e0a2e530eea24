import type { Command } from "commander";
import { formatBytes } from "../../client/progress/index.ts";
import { parseDurationMs } from "../../config/index.ts";
import { collect, withDaemon } from "../client-command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../usage-error.ts";
import { formatHelp, parseTemplate } from "./go-template.ts";
import { usageValue } from "./messages.ts";
import { tabbed } from "./tab-writer.ts";
import { usageDetails, usageTableHeader, usageTableRow } from "./usage-table.ts";

interface PruneFlags {
  readonly all?: boolean;
  readonly filter?: readonly string[];
  readonly keepDuration?: number;
  readonly keepStorageMin?: number;
  readonly keepStorage?: number;
  readonly freeStorage?: number;
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildctl prune` */
export function definePruneCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--keep-duration <time>", "keep what was used within this time, e.g. 48h", duration);
  command.option("--keep-storage <MB>", "prune until no more than this is used", megabytes);
  command.option("--keep-storage-min <MB>", "always keep this much", megabytes);
  command.option("--free-storage <MB>", "prune until this much of the disk is free", megabytes);
  command.option("-f, --filter <filter>", "only records that match", collect);
  command.option("--all", "also what frontends and the daemon itself keep");
  command.option("-v, --verbose", "all there is to know about each record");
  command.option("--format <template>", `${formatHelp}; for each record`);
  command.action(async (flags: PruneFlags) => {
    const template = flags.format && parseTemplate(flags.format);
    const request = {
      filter: [...(flags.filter ?? [])],
      all: flags.all ?? false,
      keepDuration: BigInt(Math.round((flags.keepDuration ?? 0) * 1e6)),
      reservedSpace: flags.keepStorageMin ?? 0,
      maxUsedSpace: flags.keepStorage ?? 0,
      minFreeSpace: flags.freeStorage ?? 0,
    };
    await withDaemon(command, signal, async (control) => {
      let total = 0;
      let first = true;
      for await (const record of control.prune(request, signal)) {
        total += record.Size;
        if (template) stdout.write(`${template(usageValue(record))}\n`);
        else if (flags.verbose) stdout.write(tabbed(usageDetails(record)));
        else stdout.write(tabbed(first ? [usageTableHeader, usageTableRow(record)] : [usageTableRow(record)]));
        first = false;
      }
      if (!template) stdout.write(tabbed([["Total:", formatBytes(total)]]));
    });
  });
}

function duration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new UsageError(`invalid time ${JSON.stringify(text)}: expected e.g. 30m, 48h`);
  return ms;
}

function megabytes(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0))
    throw new UsageError(`invalid size ${JSON.stringify(text)}: expected a number of MB`);
  return Math.round(value * 1e6);
}
