import type { Command } from "commander";
import { addCommand, needCommand } from "../command-entry.ts";
import type { CliContext } from "../context.ts";
import { defineShellCommand } from "./shell-command.ts";

/** `buildfleet debug …` */
export function defineDebugCommand(command: Command, context: CliContext): void {
  const summary = "open a shell in the state in which a step failed, on the agent that ran it";
  addCommand(command, { name: "shell", summary, kind: "client", define: defineShellCommand }, context);
  needCommand(command);
}
