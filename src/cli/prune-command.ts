import type { Command } from "commander";
import { formatBytes } from "../client/progress/index.ts";
import { parseByteSize, parseDurationMs } from "../config/index.ts";
import { collect, withDaemon } from "./client-command.ts";
import type { CliContext } from "./context.ts";
import { checkFormat } from "./output-format.ts";
import { UsageError } from "./usage-error.ts";
import { filtersOf, usageHeader, usageJson, usageRow, usageText } from "./usage-records.ts";

interface PruneFlags {
  readonly all?: boolean;
  readonly filter?: readonly string[];
  readonly agent?: string;
  readonly keepDuration?: number;
  readonly reservedSpace?: number;
  readonly keepStorageMin?: number;
  readonly maxUsedSpace?: number;
  readonly keepStorage?: number;
  readonly minFreeSpace?: number;
  readonly freeStorage?: number;
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildfleet prune` */
export function definePruneCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--all", "also what frontends and the daemon itself keep");
  command.option("-f, --filter <filter>", "only records that match, e.g. type==exec.cachemount", collect);
  command.option("--agent <id>", "only records on this agent");
  command.option("--keep-duration <time>", "keep what was used within this time, e.g. 48h, 7d", duration);
  command.option("--reserved-space <size>", "always keep this much, e.g. 10GB", size);
  command.option("--max-used-space <size>", "prune until no more than this is used", size);
  command.option("--min-free-space <size>", "prune until this much of the disk is free", size);
  command.option("--keep-storage-min <MB>", "the same as --reserved-space, in MB", megabytes);
  command.option("--keep-storage <MB>", "the same as --max-used-space, in MB", megabytes);
  command.option("--free-storage <MB>", "the same as --min-free-space, in MB", megabytes);
  command.option("-v, --verbose", "all there is to know about each record");
  command.option("--format <format>", "table or json (one object per line)", "table");
  command.addHelpText(
    "after",
    "\nEvery agent prunes its own disk: sizes count for each of them, as for each worker of a buildkitd.",
  );
  command.action(async (flags: PruneFlags) => {
    const json = checkFormat(flags.format) === "json";
    const request = {
      filter: [...filtersOf(flags.filter, flags.agent)],
      all: flags.all ?? false,
      keepDuration: BigInt(Math.round((flags.keepDuration ?? 0) * 1e6)),
      reservedSpace: flags.reservedSpace ?? flags.keepStorageMin ?? 0,
      maxUsedSpace: flags.maxUsedSpace ?? flags.keepStorage ?? 0,
      minFreeSpace: flags.minFreeSpace ?? flags.freeStorage ?? 0,
    };
    await withDaemon(command, signal, async (control) => {
      let total = 0;
      let first = true;
      for await (const record of control.prune(request, signal)) {
        total += record.Size;
        if (json) stdout.write(`${JSON.stringify(usageJson(record))}\n`);
        else if (flags.verbose) stdout.write(usageText(record));
        else {
          if (first) stdout.write(line(usageHeader));
          stdout.write(line(usageRow(record)));
          first = false;
        }
      }
      if (!json) stdout.write(`Total: ${formatBytes(total)}\n`);
    });
  });
}

/** Records come one by one, so the columns have fixed widths. */
function line([id = "", reclaimable = "", bytes = "", description = ""]: readonly string[]): string {
  return `${[id.padEnd(27), reclaimable.padEnd(11), bytes.padEnd(10), description].join("  ").trimEnd()}\n`;
}

function duration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new UsageError(`invalid time ${JSON.stringify(text)}: expected e.g. 30m, 48h, 7d`);
  return ms;
}

function size(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === undefined) throw new UsageError(`invalid size ${JSON.stringify(text)}: expected e.g. 512MB, 10GB`);
  return bytes;
}

function megabytes(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0))
    throw new UsageError(`invalid size ${JSON.stringify(text)}: expected a number of MB`);
  return Math.round(value * 1e6);
}
