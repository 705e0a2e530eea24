import { type Sandbox, type SandboxAgent, type SandboxHead, waitFor } from "../helpers/sandbox/index.ts";
import { agentsOf, type Fault } from "./fault.ts";

const services = (name: string) => () => [{ name }];

/** Faults of processes: killed, frozen, restarted, told to leave. */
export const processFaults: readonly Fault[] = [
  {
    name: "kill -9 agent",
    lastsMs: [100, 9000],
    victims: agentsOf,
    inject: async (sandbox, victim) => {
      const agent = victim as SandboxAgent;
      await agent.process.stop("SIGKILL");
      return async () => {
        await headsUp(sandbox);
        await sandbox.restartAgent(agent);
      };
    },
  },
  {
    name: "freeze agent",
    lastsMs: [500, 12_000],
    victims: agentsOf,
    inject: async (sandbox, victim) => {
      const { id, process } = victim as SandboxAgent;
      process.signal("SIGSTOP");
      return async () => {
        process.signal("SIGCONT");
        await known(sandbox, id);
      };
    },
  },
  {
    name: "drain agent",
    lastsMs: [0, 500],
    victims: (sandbox) => (agentsOf(sandbox).length > 1 ? agentsOf(sandbox) : []),
    inject: async (sandbox, victim) => {
      const how = await (victim as SandboxAgent).process.stop("SIGTERM");
      if (how !== "code 0") throw new Error(`${victim.name} did not leave: ${how}`);
      return async () => {
        await headsUp(sandbox);
        await sandbox.startAgent();
      };
    },
  },
  {
    name: "kill -9 coordinator",
    lastsMs: [100, 3000],
    victims: (sandbox) => sandbox.heads,
    inject: async (sandbox, victim) => {
      const head = victim as SandboxHead;
      await head.process.stop("SIGKILL");
      return () => sandbox.restartHead(head);
    },
  },
  {
    name: "freeze coordinator",
    lastsMs: [200, 3000],
    victims: (sandbox) => sandbox.heads,
    inject: async (_sandbox, victim) => {
      const { process } = victim as SandboxHead;
      process.signal("SIGSTOP");
      return async () => process.signal("SIGCONT");
    },
  },
  {
    name: "kill -9 NATS",
    lastsMs: [100, 2000],
    victims: services("NATS"),
    inject: async (sandbox) => {
      await sandbox.nats.stop("SIGKILL");
      return () => sandbox.nats.start();
    },
  },
  {
    name: "restart registry",
    lastsMs: [50, 1000],
    victims: services("registry"),
    inject: async (sandbox) => {
      await sandbox.registryServer.stop("SIGKILL");
      return () => sandbox.registryServer.start();
    },
  },
];

/** Every coordinator takes the agent for alive. */
export async function known(sandbox: Sandbox, id: string): Promise<void> {
  await headsUp(sandbox);
  for (const index of sandbox.heads.keys()) {
    const { control } = await sandbox.connect(index);
    await waitFor(`agent ${id} to be heard`, async () => {
      const workers = await control.workers([], AbortSignal.timeout(10_000)).catch(() => []);
      return workers.some(({ ID }) => ID === id);
    });
  }
}

/** Another fault may have a coordinator down now. */
async function headsUp(sandbox: Sandbox): Promise<void> {
  await waitFor("all coordinators to run", () => sandbox.heads.every(({ process }) => process.running));
  await Promise.all(sandbox.heads.map(({ process }) => process.ready));
}
