import type { Command } from "commander";
import { addCommand, type CommandEntry, needCommand } from "../../command-entry.ts";
import type { CliContext } from "../../context.ts";
import { UsageError } from "../../usage-error.ts";
import { defineCtlCommand } from "./ctl-command.ts";
import { defineDumpLlbCommand } from "./dump-llb-command.ts";
import { defineGetCommand } from "./get-command.ts";
import { defineHistoriesCommand } from "./histories-command.ts";
import { defineInfoCommand } from "./info-command.ts";
import { defineLogsCommand } from "./logs-command.ts";
import { defineMonitorCommand } from "./monitor-command.ts";
import { defineWorkersCommand } from "./workers-command.ts";

/** Those of cmd/buildctl/debug. */
const commands: readonly CommandEntry[] = [
  {
    name: "dump-llb",
    summary: "dump LLB in human-readable format; needs no daemon",
    kind: "other",
    define: defineDumpLlbCommand,
  },
  {
    name: "dump-metadata",
    summary: "not offered: there is no metadata database of BuildKit's",
    kind: "other",
    define: refuseDumpMetadata,
  },
  { name: "workers", summary: "list workers", kind: "client", define: defineWorkersCommand },
  { name: "info", summary: "display internal information", kind: "client", define: defineInfoCommand },
  { name: "monitor", summary: "display build events", kind: "client", define: defineMonitorCommand },
  { name: "logs", summary: "display build logs", kind: "client", define: defineLogsCommand },
  { name: "ctl", summary: "control build records", kind: "client", define: defineCtlCommand },
  { name: "get", summary: "retrieve a blob that a record names", kind: "client", define: defineGetCommand },
  { name: "histories", summary: "list build records", kind: "client", define: defineHistoriesCommand },
];

/** `buildctl debug` */
export function defineDebugCommand(command: Command, context: CliContext): void {
  for (const entry of commands) addCommand(command, entry, context);
  needCommand(command);
}

function refuseDumpMetadata(command: Command): void {
  command.option("--root <directory>", "state of a daemon");
  command.action(() => {
    throw new UsageError(
      "dump-metadata is not supported: the state of this daemon is not in BuildKit's metadata_v2.db",
    );
  });
}
