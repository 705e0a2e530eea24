import type { Command } from "commander";
import { defineBuildCommand } from "../build/build-command.ts";
import { addClientOptions } from "../client-options.ts";
import { addCommand, type CommandEntry, needCommand } from "../command-entry.ts";
import type { CliContext } from "../context.ts";
import { versionLine } from "../version-line.ts";
import { defineDebugCommand } from "./debug/debug-command.ts";
import { defineDialStdioCommand } from "./dial-stdio-command.ts";
import { defineDuCommand } from "./du-command.ts";
import { definePruneCommand } from "./prune-command.ts";
import { definePruneHistoriesCommand } from "./prune-histories-command.ts";

/** The commands of cmd/buildctl that there are here. */
const commands: readonly CommandEntry[] = [
  { name: "du", summary: "disk usage", kind: "client", define: defineDuCommand },
  { name: "prune", summary: "clean up build cache", kind: "client", define: definePruneCommand },
  {
    name: "prune-histories",
    summary: "clean up build histories",
    kind: "client",
    define: definePruneHistoriesCommand,
  },
  { name: "build", aliases: ["b"], summary: "build", kind: "client", define: defineBuildCommand },
  { name: "debug", summary: "debug utilities", kind: "client", define: defineDebugCommand },
  {
    name: "dial-stdio",
    summary: "proxy the stdio stream to the daemon connection",
    kind: "client",
    hidden: true,
    define: defineDialStdioCommand,
  },
];

/** `buildfleet buildctl`, which `bin/buildctl.mjs` runs: our client with the command names of `buildctl`. */
export function defineBuildctlCommand(command: Command, context: CliContext): void {
  command.version(versionLine("buildctl"), "-v, --version", "print the version");
  command.option("--wait", "wait until the daemon answers, for as long as connecting may take");
  command.addOption(
    command.createOption("--log-format <format>", "of log lines: there are none").choices(["json", "text"]),
  );
  addClientOptions(command, false);
  for (const entry of commands) addCommand(command, entry, context);
  needCommand(command);
}
