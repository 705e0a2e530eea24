import { Command } from "commander";
import { version } from "../version.ts";
import { defineBuildCommand } from "./build/build-command.ts";
import { addClientOptions } from "./client-options.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./usage-error.ts";

interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** `client` commands talk to a running daemon. */
  readonly kind: "client" | "daemon" | "other";
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
];

const headings = { client: "Commands for a running fleet:", daemon: "Daemons:", other: "Other:" };

/** The command line of `buildfleet`. Parsing throws UsageError or CommanderError; nothing ends the process. */
export function createProgram(context: CliContext): Command {
  const program = new Command("buildfleet")
    .description("A distributed BuildKit: one address for buildctl and docker buildx, one build graph over many hosts.")
    .version(version, "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command");
  addClientOptions(program, false);
  for (const entry of commands) {
    program.commandsGroup(headings[entry.kind]);
    const command = program.command(entry.name).summary(entry.summary).description(sentence(entry.summary));
    if (entry.aliases !== undefined) command.aliases(entry.aliases);
    command.helpOption("-h, --help", "show help");
    entry.define(command, context);
    if (entry.kind === "client") addClientOptions(command, true);
  }
  program.commandsGroup(headings.other);
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
