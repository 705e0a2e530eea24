import type { Command } from "commander";
import { type CoordinatorFlags, resolveCoordinator } from "../../config/index.ts";
import type { CliContext } from "../context.ts";
import { addDaemonOptions, addFleetTlsOptions, addFrontDoorOptions, addNatsOptions } from "./daemon-options.ts";
import { runDaemon } from "./run-daemon.ts";

/** `buildfleet coordinator` */
export function defineCoordinatorCommand(command: Command, { signal, onSecondSignal }: CliContext): void {
  addFrontDoorOptions(command);
  addNatsOptions(command);
  command.option("--agent-link <host:port>", "listen here for agents (default: 127.0.0.1, a free port)");
  command.option("--agent-link-advertise <host:port>", "what agents are told to dial (default: where it listens)");
  addFleetTlsOptions(command);
  addDaemonOptions(command, "/var/lib/buildfleet-coordinator");
  command.optionsGroup("Options:");
  command.addHelpText(
    "after",
    "\nServes the build API for a fleet: agents on the same NATS run the steps. Several may share a fleet.",
  );
  command.action(async (flags: CoordinatorFlags) => {
    const resolved = await resolveCoordinator(flags);
    const { startCoordinator } = await import("../../coordinator/start-coordinator.ts");
    await runDaemon({
      name: "coordinator",
      resolved,
      stateDirectory: resolved.config.stateDir,
      start: startCoordinator,
      describe: ({ addresses, agentLinkAddress }) => ({ addresses, agentLink: agentLinkAddress }),
      signal,
      onSecondSignal,
    });
  });
}
