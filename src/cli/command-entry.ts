import type { Command } from "commander";
import { addClientOptions } from "./client-options.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./usage-error.ts";

export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** `client` commands talk to a running daemon. */
  readonly kind: "client" | "daemon" | "other";
  /** Left out of the help. */
  readonly hidden?: boolean;
  readonly define: (command: Command, context: CliContext) => void;
}

/** Adds a command below another one, whose settings it takes over. */
export function addCommand(parent: Command, entry: CommandEntry, context: CliContext): void {
  const command = parent
    .command(entry.name, { hidden: entry.hidden ?? false })
    .summary(entry.summary)
    .description(sentence(entry.summary));
  if (entry.aliases !== undefined) command.aliases(entry.aliases);
  command.helpOption("-h, --help", "show help");
  entry.define(command, context);
  if (entry.kind === "client") addClientOptions(command, true);
}

/** For a command that has commands below it and does nothing by itself: shows its help. */
export function needCommand(command: Command): void {
  command.action(() => {
    const [name] = command.args;
    if (name !== undefined) {
      throw new UsageError(`unknown command ${JSON.stringify(name)}: see ${pathOf(command)} --help`);
    }
    command.outputHelp();
  });
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
