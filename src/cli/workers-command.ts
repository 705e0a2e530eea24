import type { Command } from "commander";
import type { Platform } from "../api/gen/ops.ts";
import type { WorkerRecord } from "../api/gen/worker.ts";
import { formatBytesShort } from "../client/progress/index.ts";
import { formatPlatform, normalizePlatform } from "../core/values/platform.ts";
import { collect, withDaemon } from "./client-command.ts";
import type { CliContext } from "./context.ts";
import { checkFormat } from "./output-format.ts";
import { textTable } from "./text-table.ts";

interface WorkersFlags {
  readonly filter?: readonly string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

const hostnameLabel = "org.mobyproject.buildkit.worker.hostname";

/** `buildfleet workers`: the agents of a fleet, or the workers of a buildkitd. */
export function defineWorkersCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("-f, --filter <filter>", 'only those that match, e.g. id==abc, labels."key"==value', collect);
  command.option("-v, --verbose", "also labels, version and clean-up rules");
  command.option("--format <format>", "table or json", "table");
  command.action(async (flags: WorkersFlags) => {
    const json = checkFormat(flags.format) === "json";
    const workers = await withDaemon(command, signal, (control) => control.workers(flags.filter ?? [], signal));
    if (json) stdout.write(`${JSON.stringify(workers.map(workerJson), null, 2)}\n`);
    else stdout.write(flags.verbose ? workers.map(workerText).join("\n") : workersTable(workers));
  });
}

function workersTable(workers: readonly WorkerRecord[]): string {
  return textTable([
    ["ID", "HOST", "PLATFORMS"],
    ...workers.map((worker) => [worker.ID, worker.Labels[hostnameLabel] ?? "", platformList(worker.platforms)]),
  ]);
}

function workerText(worker: WorkerRecord): string {
  const { BuildkitVersion: version } = worker;
  const rows = [
    ["ID:", worker.ID],
    ["Platforms:", platformList(worker.platforms)],
    ["BuildKit:", version === undefined ? "" : `${version.package} ${version.version} ${version.revision}`.trimEnd()],
  ];
  if (version?.dockerfileVersion) rows.push(["Dockerfile:", version.dockerfileVersion]);
  for (const [key, value] of Object.entries(worker.Labels).sort()) rows.push([`Label ${key}:`, value]);
  for (const device of worker.CDIDevices) rows.push([device.AutoAllow ? "Device, for all:" : "Device:", device.Name]);
  for (const [index, rule] of worker.GCPolicy.entries()) rows.push([`Clean-up rule ${index + 1}:`, ruleText(rule)]);
  return textTable(rows);
}

function ruleText(rule: WorkerRecord["GCPolicy"][number]): string {
  const parts: string[] = [];
  if (rule.all) parts.push("all records");
  if (rule.filters.length > 0) parts.push(rule.filters.join(" "));
  if (rule.keepDuration > 0) parts.push(`unused for ${Number(rule.keepDuration) / 3.6e12}h`);
  if (rule.reservedSpace > 0) parts.push(`keep ${formatBytesShort(rule.reservedSpace)}`);
  if (rule.maxUsedSpace > 0) parts.push(`use at most ${formatBytesShort(rule.maxUsedSpace)}`);
  if (rule.minFreeSpace > 0) parts.push(`leave ${formatBytesShort(rule.minFreeSpace)} free`);
  return parts.join(", ");
}

/** The form of `buildctl debug workers --format json` (BuildKit client.WorkerInfo). */
function workerJson(worker: WorkerRecord) {
  const { BuildkitVersion: version } = worker;
  return {
    id: worker.ID,
    labels: worker.Labels,
    platforms: worker.platforms.map(platformJson),
    gcPolicy: worker.GCPolicy.map((rule) => ({
      all: rule.all,
      filter: rule.filters,
      keepDuration: Number(rule.keepDuration),
      reservedSpace: rule.reservedSpace,
      maxUsedSpace: rule.maxUsedSpace,
      minFreeSpace: rule.minFreeSpace,
    })),
    buildkitVersion: {
      package: version?.package ?? "",
      version: version?.version ?? "",
      revision: version?.revision ?? "",
      dockerfileVersion: version?.dockerfileVersion ?? "",
    },
    cdiDevices: worker.CDIDevices.map(({ Name, AutoAllow, Annotations, OnDemand }) => ({
      ...{ name: Name, autoAllow: AutoAllow, annotations: Annotations, onDemand: OnDemand },
    })),
  };
}

function platformJson({ Architecture, OS, Variant }: Platform) {
  return { architecture: Architecture, os: OS, ...(Variant === "" ? {} : { variant: Variant }) };
}

function platformList(platforms: readonly Platform[]): string {
  return platforms
    .map(({ OS, Architecture, Variant }) =>
      formatPlatform(normalizePlatform({ os: OS, architecture: Architecture, variant: Variant })),
    )
    .join(",");
}
