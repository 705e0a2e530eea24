import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where one agent lives. */
export interface AgentHost {
  readonly address: string;
  /** Prefix for a command line that is to run there. */
  readonly command: readonly string[];
}

/** Addresses for a fleet on one machine. Dispose removes what was made. */
export interface DemoNetwork extends AsyncDisposable {
  /** Says which kind it is. */
  readonly description: string;
  /** Where everything that is no agent listens; agents reach it. */
  readonly address: string;
  readonly hosts: readonly AgentHost[];
}

/**
 * One network namespace per agent, on a bridge; loopback addresses where the kernel or a container forbids namespaces.
 * @param onFallback told why there are no namespaces
 */
export async function createNetwork(agents: number, onFallback: (reason: string) => void): Promise<DemoNetwork> {
  try {
    return await NamespaceNetwork.create(agents);
  } catch (error) {
    onFallback(String((error as { stderr?: string }).stderr ?? error).trim());
    return loopbackNetwork(agents);
  }
}

function loopbackNetwork(agents: number): DemoNetwork {
  return {
    description: "loopback addresses 127.0.0.x",
    address: "127.0.0.1",
    hosts: Array.from({ length: agents }, (_, index) => ({ address: `127.0.0.${index + 2}`, command: [] })),
    [Symbol.asyncDispose]: async () => {},
  };
}

class NamespaceNetwork implements DemoNetwork {
  readonly address: string;
  readonly hosts: AgentHost[] = [];
  readonly #bridge: string;
  readonly #subnet: string;

  private constructor(bridge: string, subnet: string) {
    this.#bridge = bridge;
    this.#subnet = subnet;
    this.address = `${subnet}.1`;
  }

  get description(): string {
    return `network namespaces on bridge ${this.#bridge} (${this.#subnet}.0/24)`;
  }

  static async create(agents: number): Promise<NamespaceNetwork> {
    // Addresses of the shared range (RFC 6598): private ones may be the machine's own network.
    const number = Math.floor(Math.random() * 64 * 256);
    const network = new NamespaceNetwork(`bfd${number}`, `100.${64 + (number >> 8)}.${number & 255}`);
    try {
      await ip("link", "add", network.#bridge, "type", "bridge");
      await ip("addr", "add", `${network.address}/24`, "dev", network.#bridge);
      await ip("link", "set", network.#bridge, "up");
      for (let index = 0; index < agents; index++) await network.#addHost(index + 2);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #addHost(number: number): Promise<void> {
    const name = `${this.#bridge}-${number - 1}`;
    const address = `${this.#subnet}.${number}`;
    const cable = `${this.#bridge}c${number}`;
    await ip("netns", "add", name);
    this.hosts.push({ address, command: ["nsenter", `--net=/run/netns/${name}`, "--"] });
    await ip("link", "add", cable, "master", this.#bridge, "type", "veth", "peer", "name", "eth0", "netns", name);
    await ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip("-n", name, "link", "set", "lo", "up");
    await ip("-n", name, "link", "set", "eth0", "up");
    await ip("link", "set", cable, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A namespace takes its end of the cable with it, and that the other end.
    for (let number = this.hosts.splice(0).length; number > 0; number--) {
      await ip("netns", "delete", `${this.#bridge}-${number}`).catch(() => {});
    }
    await ip("link", "delete", this.#bridge).catch(() => {});
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run("ip", args);
}
