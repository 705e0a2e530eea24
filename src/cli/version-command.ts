import type { Command } from "commander";
import { buildkitVersion, version } from "../version.ts";
import type { CliContext } from "./context.ts";

/** `buildfleet version` */
export function defineVersionCommand(command: Command, { stdout }: CliContext): void {
  command.action(() => {
    stdout.write(`buildfleet ${version} (BuildKit API ${buildkitVersion}, Node ${process.version})\n`);
  });
}
