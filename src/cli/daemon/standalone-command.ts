import type { Command } from "commander";
import { resolveStandalone, type StandaloneFlags } from "../../config/index.ts";
import type { CliContext } from "../context.ts";
import { addDaemonOptions, addFrontDoorOptions, addWorkerOptions } from "./daemon-options.ts";
import { runDaemon } from "./run-daemon.ts";

/** `buildfleet standalone` */
export function defineStandaloneCommand(command: Command, { signal, onSecondSignal }: CliContext): void {
  addFrontDoorOptions(command);
  addWorkerOptions(command);
  addDaemonOptions(command, "/var/lib/buildfleet");
  command.optionsGroup("Options:");
  command.addHelpText(
    "after",
    "\nServes the build API on one machine and runs the steps there: use it in place of buildkitd.",
  );
  command.action(async (flags: StandaloneFlags) => {
    const resolved = await resolveStandalone(flags);
    const { startStandalone } = await import("../../standalone/standalone.ts");
    await runDaemon({
      name: "standalone",
      resolved,
      stateDirectory: resolved.config.root,
      start: startStandalone,
      describe: ({ addresses }) => ({ addresses }),
      signal,
      onSecondSignal,
    });
  });
}
