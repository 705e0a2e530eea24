import { Command } from "commander";
import { version } from "../version.ts";
import { defineBuildCommand } from "./build/build-command.ts";
import { defineBuildkitdCommand } from "./buildkitd/buildkitd-command.ts";
import { addClientOptions } from "./client-options.ts";
import type { CliContext } from "./context.ts";
import { defineAgentCommand } from "./daemon/agent-command.ts";
import { defineCoordinatorCommand } from "./daemon/coordinator-command.ts";
import { defineStandaloneCommand } from "./daemon/standalone-command.ts";
import { defineDuCommand } from "./du-command.ts";
import { definePruneCommand } from "./prune-command.ts";
import { UsageError } from "./usage-error.ts";
import { defineVersionCommand } from "./version-command.ts";
import { defineWorkersCommand } from "./workers-command.ts";

interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** `client` commands talk to a running daemon. */
  readonly kind: "client" | "daemon" | "other";
  /** Left out of the help. */
  readonly hidden?: boolean;
  readonly define: (command: Command, context: CliContext) => void;
}

/** All commands, in the order of `--help`. */
const commands: readonly CommandEntry[] = [
  {
    name: "build",
    aliases: ["b"],
    summary: "build a Dockerfile or an LLB definition",
    kind: "client",
    define: defineBuildCommand,
  },
  { name: "workers", summary: "list the agents of a fleet", kind: "client", define: defineWorkersCommand },
  { name: "du", summary: "show what the build cache holds", kind: "client", define: defineDuCommand },
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
    .enablePositionalOptions();
  addClientOptions(program, false);
  for (const entry of commands) {
    program.commandsGroup(headings[entry.kind]);
    const command = program
      .command(entry.name, { hidden: entry.hidden ?? false })
      .summary(entry.summary)
      .description(sentence(entry.summary));
    if (entry.aliases !== undefined) command.aliases(entry.aliases);
    command.helpOption("-h, --help", "show help");
    entry.define(command, context);
    if (entry.kind === "client") addClientOptions(command, true);
  }
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .showSuggestionAfterError(true)
      .configureOutput({
        writeOut: (text) => void context.stdout.write(text),
        writeErr: (text) => void context.stderr.write(text),
        // Errors are shown where they are caught, together with all others.
        outputError: () => {},
      });
  }
  program.action((_options, command: Command) => {
    if (command.args.length > 0)
      throw new UsageError(`unknown command ${JSON.stringify(command.args[0])}: see buildfleet --help`);
    command.outputHelp();
  });
  return program;
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
