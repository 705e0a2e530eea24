import type { Command } from "commander";
import type { BuildHistoryEvent, BuildResultInfo } from "../../../api/gen/control.ts";
import { withDaemon } from "../../client-command.ts";
import type { CliContext } from "../../context.ts";
import { eventName } from "../messages.ts";

interface MonitorFlags {
  readonly completed?: boolean;
  readonly ref?: string;
}

/** `buildctl debug monitor`: builds as they begin and end, until interrupted. */
export function defineMonitorCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--completed", "also builds that have ended");
  command.option("--ref <ref>", "only this build");
  command.action(async ({ completed = false, ref = "" }: MonitorFlags) => {
    await withDaemon(command, signal, async (control) => {
      for await (const event of control.history({ ActiveOnly: !completed, Ref: ref }, signal))
        stdout.write(eventText(event));
    });
  });
}

/** Descriptors are shown as JSON. */
function eventText({ type, record }: BuildHistoryEvent): string {
  const lines = [`event: ${eventName(type)} ref:${record?.Ref}`];
  if (record === undefined) return `${lines[0]}\n`;
  if (record.numTotalSteps !== 0) lines.push(`  cache: ${record.numCachedSteps}/${record.numTotalSteps}`);
  if (record.numWarnings !== 0) lines.push(`  warnings: ${record.numWarnings}`);
  if (record.logs !== undefined) lines.push(`  logs: ${JSON.stringify(record.logs)}`);
  if (record.trace !== undefined) lines.push(`  trace: ${JSON.stringify(record.trace)}`);
  lines.push(...resultLines("  ", record.Result));
  for (const [platform, result] of Object.entries(record.Results))
    lines.push(...resultLines(`  [${platform}] `, result));
  return `${lines.join("\n")}\n`;
}

function resultLines(indent: string, result: BuildResultInfo | undefined): readonly string[] {
  return [
    ...[...(result?.Results.values() ?? [])].map((descriptor) => `${indent}descriptor: ${JSON.stringify(descriptor)}`),
    ...(result?.Attestations ?? []).map((attestation) => `${indent}attestation: ${JSON.stringify(attestation)}`),
  ];
}
