import type { Command } from "commander";
import type { WorkerRecord } from "../../../api/gen/worker.ts";
import { formatBytesShort } from "../../../client/progress/index.ts";
import { formatPlatform, normalizePlatform } from "../../../core/values/platform.ts";
import { collect, withDaemon } from "../../client-command.ts";
import type { CliContext } from "../../context.ts";
import { formatHelp, parseTemplate } from "../go-template.ts";
import { goDuration } from "../go-text.ts";
import { workerValue } from "../messages.ts";
import { type Line, tabbed } from "../tab-writer.ts";
import { versionLines } from "./info-command.ts";

interface WorkersFlags {
  readonly filter?: readonly string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildctl debug workers` */
export function defineWorkersCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("-f, --filter <filter>", "only those that match, e.g. id==abc", collect);
  command.option("-v, --verbose", "also labels, version and clean-up rules");
  command.option("--format <template>", formatHelp);
  command.action(async ({ filter = [], verbose, format }: WorkersFlags) => {
    const template = format && parseTemplate(format);
    const workers = await withDaemon(command, signal, (control) => control.workers(filter, signal));
    if (template) stdout.write(`${template(workers.map(workerValue))}\n`);
    else if (verbose) stdout.write(tabbed(workers.flatMap(workerLines)));
    else stdout.write(tabbed([["ID", "PLATFORMS"], ...workers.map((worker) => [worker.ID, platforms(worker)])]));
  });
}

/** As buildctl lays them out (cmd/buildctl/debug/workers.go). */
function workerLines(worker: WorkerRecord): readonly Line[] {
  return [
    ["ID:", worker.ID],
    ["Platforms:", platforms(worker)],
    ...versionLines(worker.BuildkitVersion),
    ["Labels:"],
    ...sorted(worker.Labels).map(([name, value]) => ["", `${name}:`, value]),
    ...(worker.CDIDevices.length === 0 ? [] : [["Devices:"], ...worker.CDIDevices.flatMap(deviceLines), [""]]),
    ...worker.GCPolicy.flatMap(ruleLines),
    [""],
  ];
}

function deviceLines({ Name, OnDemand, AutoAllow, Annotations }: WorkerRecord["CDIDevices"][number]): readonly Line[] {
  return [
    ["", "Name:", Name],
    OnDemand ? ["", "OnDemand:", "true"] : ["", "AutoAllow:", String(AutoAllow)],
    ...sorted(Annotations).map(([name, value]) => ["", "Annotations:", `${name}:`, value]),
  ];
}

function ruleLines(rule: WorkerRecord["GCPolicy"][number], index: number): readonly Line[] {
  const space = (name: string, bytes: number) => (bytes > 0 ? [["", name, formatBytesShort(bytes)]] : []);
  return [
    [`GC Policy rule#${index}:`],
    ["", "All:", String(rule.all)],
    ...(rule.filters.length === 0 ? [] : [["", "Filters:", rule.filters.join(" ")]]),
    ...(rule.keepDuration > 0n ? [["", "Keep duration:", goDuration(rule.keepDuration)]] : []),
    ...space("Reserved space:", rule.reservedSpace),
    ...space("Minimum free space:", rule.minFreeSpace),
    ...space("Maximum used space:", rule.maxUsedSpace),
  ];
}

function sorted(map: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}

function platforms(worker: WorkerRecord): string {
  return worker.platforms
    .map(({ OS, Architecture, Variant }) =>
      formatPlatform(normalizePlatform({ os: OS, architecture: Architecture, variant: Variant })),
    )
    .join(",");
}
