import type { Command } from "commander";
import { defineBuildCommand } from "../build/build-command.ts";
import { addClientOptions } from "../client-options.ts";
import { addCommand, type CommandEntry, needCommand } from "../command-entry.ts";
import type { CliContext } from "../context.ts";
import { defineDuCommand } from "../du-command.ts";
import { definePruneCommand } from "../prune-command.ts";
import { versionLine } from "../version-line.ts";
import { defineWorkersCommand } from "../workers-command.ts";
import { defineDialStdioCommand } from "./dial-stdio-command.ts";
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

const debugCommands: readonly CommandEntry[] = [
  { name: "workers", summary: "list workers", kind: "client", define: defineWorkersCommand },
];

/** `buildfleet buildctl`, which `bin/buildctl.mjs` runs: our client with the command names of `buildctl`. */
export function defineBuildctlCommand(command: Command, context: CliContext): void {
  command.version(versionLine("buildctl"), "-v, --version", "print the version");
  addClientOptions(command, false);
  for (const entry of commands) addCommand(command, entry, context);
  needCommand(command);
}

function defineDebugCommand(command: Command, context: CliContext): void {
  for (const entry of debugCommands) addCommand(command, entry, context);
  needCommand(command);
}
