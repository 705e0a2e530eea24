import { execFile } from "node:child_process";
import { createServer } from "node:net";
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
    const { stderr, message } = error as Error & { stderr?: string };
    onFallback((stderr || message).trim());
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

/**
 * The bridge has a namespace too, so that the machine's packet filter, which Docker for one makes drop what is forwarded,
 * stays out of what agents send each other.
 */
class NamespaceNetwork implements DemoNetwork {
  readonly address: string;
  readonly hosts: AgentHost[] = [];
  readonly #name: string;
  readonly #subnet: string;
  readonly #namespaces: string[] = [];

  private constructor(name: string, subnet: string) {
    this.#name = name;
    this.#subnet = subnet;
    this.address = `${subnet}.1`;
  }

  get description(): string {
    return `network namespaces ${this.#name}-1 … ${this.#name}-${this.hosts.length} on a bridge (${this.#subnet}.0/24)`;
  }

  static async create(agents: number): Promise<NamespaceNetwork> {
    // Addresses of the shared range (RFC 6598): private ones may be the machine's own network.
    const number = Math.floor(Math.random() * 64 * 256);
    const network = new NamespaceNetwork(`bfd${number}`, `100.${64 + (number >> 8)}.${number & 255}`);
    try {
      await network.#addBridge();
      for (let index = 1; index <= agents; index++) await network.#addHost(index);
      for (const host of network.hosts) await mustReach(network.address, host);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #bridge(): string {
    return `${this.#name}-bridge`;
  }

  async #addBridge(): Promise<void> {
    await this.#addNamespace(this.#bridge);
    await ip("-n", this.#bridge, "link", "add", "bridge", "type", "bridge");
    await ip("-n", this.#bridge, "link", "set", "bridge", "up");
    await ip("link", "add", this.#name, "type", "veth", "peer", "name", "machine", "netns", this.#bridge);
    await ip("-n", this.#bridge, "link", "set", "machine", "master", "bridge", "up");
    await ip("addr", "add", `${this.address}/24`, "dev", this.#name);
    await ip("link", "set", this.#name, "up");
  }

  async #addHost(number: number): Promise<void> {
    const name = `${this.#name}-${number}`;
    const address = `${this.#subnet}.${number + 1}`;
    const cable = `agent-${number}`;
    await this.#addNamespace(name);
    await ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", cable, "netns", this.#bridge);
    await ip("-n", this.#bridge, "link", "set", cable, "master", "bridge", "up");
    await ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip("-n", name, "link", "set", "lo", "up");
    await ip("-n", name, "link", "set", "eth0", "up");
    this.hosts.push({ address, command: ["nsenter", `--net=/run/netns/${name}`, "--"] });
  }

  async #addNamespace(name: string): Promise<void> {
    await ip("netns", "add", name);
    this.#namespaces.push(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#namespaces.length === 0) return;
    // The kernel would remove it a little after the namespace of its other end.
    await ip("link", "delete", this.#name).catch(() => {});
    for (const name of this.#namespaces.splice(0).reverse()) await ip("netns", "delete", name).catch(() => {});
  }
}

/** @throws Error when the machine's packet filter keeps a namespace from this process */
async function mustReach(address: string, from: AgentHost): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => {}).end());
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, address, resolve));
  const listening = server.address();
  const port = listening === null || typeof listening === "string" ? 0 : listening.port;
  try {
    const [command = "", ...args] = [...from.command, "bash", "-c", `exec 3<>/dev/tcp/${address}/${port}`];
    await run(command, args, { timeout: 3000 });
  } catch (error) {
    throw new Error(`a packet filter of this machine drops what comes from ${from.address}`, { cause: error });
  } finally {
    server.close();
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run("ip", args);
}
