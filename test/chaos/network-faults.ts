import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Sandbox, SandboxAgent } from "../helpers/sandbox/index.ts";
import { agentsOf, type Fault } from "./fault.ts";
import { known } from "./process-faults.ts";

/** Commands in an agent's network namespace. */
async function inNetwork({ host }: SandboxAgent, ...argv: readonly string[]): Promise<void> {
  const [command = "", ...args] = [...(host?.command ?? []), ...argv];
  await promisify(execFile)(command, args);
}

/** A fault of an agent's link that one command makes and another takes back. */
function ofLink(name: string, lastsMs: Fault["lastsMs"], make: readonly string[], undo: readonly string[]): Fault {
  return {
    name,
    lastsMs,
    victims: agentsOf,
    missing: async (sandbox) => {
      const [agent] = agentsOf(sandbox);
      if (agent === undefined) return "no agent";
      try {
        await inNetwork(agent, ...make);
        await inNetwork(agent, ...undo);
        return undefined;
      } catch (error) {
        return String((error as { stderr?: string }).stderr ?? error).trim();
      }
    },
    inject: async (sandbox: Sandbox, victim) => {
      const agent = victim as SandboxAgent;
      await inNetwork(agent, ...make);
      return async () => {
        await inNetwork(agent, ...undo);
        if (agent.process.running) await known(sandbox, agent.id);
      };
    },
  };
}

const filtered = (...rule: readonly string[]) =>
  [
    ["iptables", "-A", ...rule, "-j", "DROP"],
    ["iptables", "-D", ...rule, "-j", "DROP"],
  ] as const;
const shaped = (...discipline: readonly string[]) =>
  [
    ["tc", "qdisc", "add", "dev", "eth0", "root", ...discipline],
    ["tc", "qdisc", "del", "dev", "eth0", "root"],
  ] as const;

/** Faults of an agent's network. */
export const networkFaults: readonly Fault[] = [
  {
    name: "unplug agent",
    lastsMs: [500, 12_000],
    victims: agentsOf,
    inject: async (sandbox, victim) => {
      const { id, host } = victim as SandboxAgent;
      await host?.setConnected(false);
      return async () => {
        await host?.setConnected(true);
        await known(sandbox, id);
      };
    },
  },
  ofLink("agent hears nobody", [500, 12_000], ...filtered("INPUT", "-i", "eth0")),
  ofLink("nobody hears agent", [500, 12_000], ...filtered("OUTPUT", "-o", "eth0")),
  ofLink(
    "packet loss 10 %",
    [1000, 8000],
    ...filtered("INPUT", "-i", "eth0", "-m", "statistic", "--mode", "random", "--probability", "0.1"),
  ),
  ofLink("slow link 8 Mbit/s", [1000, 8000], ...shaped("tbf", "rate", "8mbit", "burst", "32kbit", "latency", "400ms")),
  ofLink("delay 100 ms, loss 2 %", [1000, 8000], ...shaped("netem", "delay", "100ms", "20ms", "loss", "2%")),
];
