import { Command } from "commander";
import { version } from "../version.ts";
import { defineAttachCommand } from "./attach-command.ts";
import { defineBuildCommand } from "./build/build-command.ts";
import { defineBuildctlCommand } from "./buildctl/buildctl-command.ts";
import { defineBuildkitdCommand } from "./buildkitd/buildkitd-command.ts";
import { addClientOptions } from "./client-options.ts";
import { addCommand, type CommandEntry, needCommand } from "./command-entry.ts";
import type { CliContext } from "./context.ts";
import { defineAgentCommand } from "./daemon/agent-command.ts";
import { defineCoordinatorCommand } from "./daemon/coordinator-command.ts";
import { defineStandaloneCommand } from "./daemon/standalone-command.ts";
import { defineDebugCommand } from "./debug/debug-command.ts";
import { defineDuCommand } from "./du-command.ts";
import { defineExplainCommand } from "./explain/explain-command.ts";
import { definePruneCommand } from "./prune-command.ts";
import { defineVersionCommand } from "./version-command.ts";
import { defineWorkersCommand } from "./workers-command.ts";

/** All commands, in the order of `--help`. */
const commands: readonly CommandEntry[] = [
  {
    name: "build",
    aliases: ["b"],
    summary: "build a Dockerfile or an LLB definition",
    kind: "client",
    define: defineBuildCommand,
  },
  { name: "attach", summary: "follow a build from anywhere", kind: "client", define: defineAttachCommand },
  { name: "workers", summary: "list the agents of a fleet", kind: "client", define: defineWorkersCommand },
  { name: "debug", summary: "look into builds that failed", kind: "client", define: defineDebugCommand },
  { name: "du", summary: "show what the build cache holds", kind: "client", define: defineDuCommand },
  {
    name: "explain",
    summary: "say why steps of a build were not served from cache",
    kind: "client",
    define: defineExplainCommand,
  },
  { name: "prune", summary: "remove unused build cache", kind: "client", define: definePruneCommand },
  {
    name: "standalone",
    summary: "run everything on this machine, as buildkitd does",
    kind: "daemon",
    define: defineStandaloneCommand,
  },
  { name: "coordinator", summary: "run a fleet's head", kind: "daemon", define: defineCoordinatorCommand },
  { name: "agent", summary: "run a fleet's worker on this machine", kind: "daemon", define: defineAgentCommand },
  {
    name: "buildkitd",
    summary: "stand in for buildkitd",
    kind: "daemon",
    hidden: true,
    define: defineBuildkitdCommand,
  },
  { name: "buildctl", summary: "stand in for buildctl", kind: "other", hidden: true, define: defineBuildctlCommand },
  { name: "version", summary: "show versions", kind: "other", define: defineVersionCommand },
];

const headings = { client: "Commands for a running fleet:", daemon: "Daemons:", other: "Other:" };

/** The command line of `buildfleet`. Parsing throws UsageError or CommanderError; nothing ends the process. */
export function createProgram(context: CliContext): Command {
  const program = new Command("buildfleet")
    .description("A distributed BuildKit: one address for buildctl and docker buildx, one build graph over many hosts.")
    .version(version, "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .addHelpCommand(
      new Command("help").argument("[command]").description("show help of a command").helpGroup(headings.other),
    )
    .allowExcessArguments()
    // After its name, a flag is the command's: daemons have an --addr of their own.
    .enablePositionalOptions()
    // Commands take over what follows.
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      // Errors are shown where they are caught, together with all others.
      outputError: () => {},
    });
  addClientOptions(program, false);
  for (const entry of commands) {
    program.commandsGroup(headings[entry.kind]);
    addCommand(program, entry, context);
  }
  needCommand(program);
  return program;
}
