import net from "node:net";
import type { Command } from "commander";
import { type AgentConfig, type AgentFlags, resolveAgent } from "../../config/index.ts";
import type { StartedAgent } from "../../worker-agent/start-agent.ts";
import type { CliContext } from "../context.ts";
import { addDaemonOptions, addFleetTlsOptions, addNatsOptions, addWorkerOptions } from "./daemon-options.ts";
import { runDaemon } from "./run-daemon.ts";
import { untilIdle } from "./until-idle.ts";

const reachTimeoutMs = 3000;

/** `buildfleet agent` */
export function defineAgentCommand(command: Command, { signal, onSecondSignal, stderr }: CliContext): void {
  addNatsOptions(command);
  command.option("--blob-server <host:port>", "serve layers to other agents here (default: 127.0.0.1, a free port)");
  command.option(
    "--blob-server-advertise <host:port>",
    "what other agents are told to dial (default: where it listens)",
  );
  addFleetTlsOptions(command);
  command.option("--coordinator <host:port>", "agent link of a coordinator, tried once at the start");
  command.option("--idle-exit <time>", "end after this long without work, e.g. 10m");
  command.option(
    "--drain-timeout <time>",
    "when told to end, leave after this long at the latest; what still runs goes elsewhere (default: 10m)",
  );
  addWorkerOptions(command);
  addDaemonOptions(command, "/var/lib/buildfleet-agent");
  command.optionsGroup("Options:");
  command.addHelpText(
    "after",
    "\nRuns build steps for the coordinators on the same NATS. At SIGTERM it takes no more, finishes what runs and gives layers " +
      "that nobody else has to other agents.",
  );
  command.action(async (flags: AgentFlags) => {
    const resolved = await resolveAgent(flags);
    const { coordinator, idleExitMs, drainTimeoutMs } = resolved.config;
    if (coordinator !== undefined && !(await reachable(coordinator))) {
      stderr.write(`warning: no coordinator answers at ${coordinator}; tasks name the one to use\n`);
    }
    const { startAgent } = await import("../../worker-agent/start-agent.ts");
    await runDaemon<AgentConfig, StartedAgent>({
      name: "agent",
      resolved,
      stateDirectory: resolved.config.root,
      start: startAgent,
      describe: ({ id, blobUrl }) => ({ id, blobUrl }),
      drain: (agent) => agent.drain(drainTimeoutMs),
      ...(idleExitMs === undefined ? {} : { finished: (agent, stop) => untilIdle(agent, idleExitMs, stop) }),
      signal,
      onSecondSignal,
    });
  });
}

async function reachable(address: string): Promise<boolean> {
  const colon = address.lastIndexOf(":");
  const socket = net.connect({
    host: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
  });
  try {
    return await new Promise((resolve) => {
      socket.setTimeout(reachTimeoutMs, () => resolve(false));
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
