import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ControlClient, connectDaemon } from "../../src/client/index.ts";
import { unmount } from "../../src/util/sys/index.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { mountsUnder, removeCgroups } from "./leftovers.ts";
import { createNetwork, type DemoNetwork } from "./network.ts";
import { searchPath } from "./requirements.ts";

export const buildfleet = fileURLToPath(new URL("../../bin/buildfleet.mjs", import.meta.url));

export interface FleetOptions {
  readonly agents: number;
  /** All state goes here; must not exist. The caller removes what is left of it. */
  readonly root: string;
  readonly logDirectory: string;
  readonly runtime: string;
  readonly onStarted: (what: string, where: string) => void;
  readonly onNote: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface FleetAgent {
  readonly name: string;
  readonly address: string;
  readonly root: string;
}

/** NATS, a registry, a coordinator and agents as processes of this machine. Dispose ends all and removes what they made. */
export class DemoFleet implements AsyncDisposable {
  readonly network: DemoNetwork;
  readonly agents: FleetAgent[] = [];
  /** `host:port` */
  readonly registry: string;
  readonly #options: FleetOptions;
  readonly #owned = new AsyncDisposableStack();
  readonly #daemons: DaemonProcess[] = [];
  readonly #names = new Map<string, string>();
  readonly #nats: string;
  readonly #cgroup = `buildfleet-demo-${randomBytes(4).toString("hex")}`;
  /** Of the coordinator, for clients. */
  readonly address: string;

  private constructor(network: DemoNetwork, ports: readonly number[], options: FleetOptions) {
    this.network = network;
    this.#options = options;
    const [nats, registry, coordinator] = ports.map((port) => `${network.address}:${port}`);
    this.#nats = `nats://${nats}`;
    this.registry = registry ?? "";
    this.address = `tcp://${coordinator}`;
  }

  /** Makes the network; nothing runs yet. */
  static async create(options: FleetOptions): Promise<DemoFleet> {
    const network = await createNetwork(options.agents, (reason) =>
      options.onNote(`no network namespaces: ${reason}; agents get addresses 127.0.0.x of this machine instead`),
    );
    try {
      const fleet = new DemoFleet(network, await freePorts(network.address, 3), options);
      fleet.#owned.use(network);
      return fleet;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Takes something that is to end with the fleet, after its processes. */
  use<T extends AsyncDisposable>(owned: T): T {
    return this.#owned.use(owned);
  }

  /** What an agent is called: `agent-1`. */
  agentName(id: string): string {
    return this.#names.get(id) ?? id;
  }

  get logFiles(): readonly string[] {
    return this.#daemons.map((daemon) => daemon.logFile);
  }

  /** Rejects as soon as a server ends by itself. */
  get failed(): Promise<never> {
    return Promise.race(this.#daemons.map((daemon) => daemon.failed));
  }

  /** Starts NATS and the registry. */
  async startServers(): Promise<void> {
    const { root } = this.#options;
    const { host, port } = hostPort(this.#nats.slice("nats://".length));
    this.#spawn("nats", ["nats-server", "-a", host, "-p", port, "-js", "-sd", join(root, "nats")]);
    const config = join(root, "registry.yml");
    await mkdir(root, { recursive: true });
    await writeFile(
      config,
      JSON.stringify({
        version: 0.1,
        log: { level: "warn", accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(root, "registry") } },
        http: { addr: this.registry },
      }),
    );
    this.#spawn("registry", ["docker-registry", "serve", config]);
    await this.#listening(`${host}:${port}`);
    this.#options.onStarted("NATS", this.#nats);
    await this.#listening(this.registry);
    this.#options.onStarted("registry", this.registry);
  }

  /** Starts coordinator and agents. @param variables of their environments, beside this process's */
  async startFleet(variables: Readonly<Record<string, string>>): Promise<void> {
    const { root, onStarted, runtime } = this.#options;
    const config = join(root, "buildkitd.toml");
    await writeFile(config, this.#configuration(runtime));
    const common = ["--nats", this.#nats, "--config", config];
    const cli = [process.execPath, buildfleet];
    this.#spawn(
      "coordinator",
      [
        ...[...cli, "coordinator", "--addr", this.address, "--agent-link", `${this.network.address}:0`],
        ...["--root", join(root, "coordinator"), ...common],
      ],
      variables,
    );
    for (const [index, host] of this.network.hosts.entries()) {
      const agent: FleetAgent = {
        name: `agent-${index + 1}`,
        address: host.address,
        root: join(root, `agent-${index + 1}`),
      };
      this.agents.push(agent);
      this.#spawn(
        agent.name,
        [
          ...[...host.command, ...cli, "agent", "--root", agent.root, "--blob-server", `${host.address}:0`],
          ...["--slots", "2", "--label", `demo.name=${agent.name}`, ...common],
        ],
        variables,
      );
    }
    await this.#listening(hostPort(this.address.slice("tcp://".length)));
    onStarted("coordinator", this.address);
    await this.#joined();
    for (const { name, address, root } of this.agents) onStarted(name, `${address}, data in ${root}`);
  }

  /** Ends everything, agents first; then removes mounts and cgroups that a killed agent would leave. */
  async [Symbol.asyncDispose](): Promise<void> {
    const agents = this.#daemons.filter(({ name }) => name.startsWith("agent"));
    await Promise.all(agents.map((daemon) => daemon[Symbol.asyncDispose]()));
    for (const daemon of this.#daemons.toReversed()) await daemon[Symbol.asyncDispose]();
    await removeCgroups(this.#cgroup);
    for (const path of mountsUnder(this.#options.root)) unmount(path);
    await this.#owned.disposeAsync();
    await rm(this.#options.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** In the form of buildkitd.toml: names of Docker Hub are looked for in our registry first, which speaks plain HTTP. */
  #configuration(runtime: string): string {
    return `[registry."docker.io"]
mirrors = ["${this.registry}"]

[registry."${this.registry}"]
http = true

[worker.oci]
binary = "${runtime}"
defaultCgroupParent = "/${this.#cgroup}"
`;
  }

  #spawn(name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const logFile = join(this.#options.logDirectory, `${name}.log`);
    this.#daemons.push(new DaemonProcess({ name, argv, logFile, env: { PATH: searchPath(), ...env } }));
  }

  async #listening(address: string | HostPort): Promise<void> {
    const { host, port } = typeof address === "string" ? hostPort(address) : address;
    await this.#until(`${host}:${port} to answer`, async () => {
      const socket = connect(Number(port), host);
      try {
        return await new Promise<boolean>((resolve) => {
          socket.once("connect", () => resolve(true));
          socket.once("error", () => resolve(false));
        });
      } finally {
        socket.destroy();
      }
    });
  }

  async #joined(): Promise<void> {
    await using client = await connectDaemon({ address: this.address, timeoutMs: 10_000 }, this.#options.signal);
    const control = new ControlClient(client);
    await this.#until("the agents to join", async () => {
      for (const { ID, Labels } of await control.workers([], this.#options.signal)) {
        const name = Labels["demo.name"];
        if (name !== undefined) this.#names.set(ID, name);
      }
      return this.#names.size === this.agents.length;
    });
  }

  async #until(what: string, ask: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await ask())) {
      if (Date.now() > deadline) throw new Error(`waited a minute in vain for ${what}`);
      await Promise.race([sleep(50, undefined, { signal: this.#options.signal }), this.failed]);
    }
  }
}

interface HostPort {
  readonly host: string;
  readonly port: string;
}

function hostPort(address: string): HostPort {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: address.slice(colon + 1) };
}

async function freePorts(host: string, count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(async (server) => {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve));
    const address = server.address();
    return address === null || typeof address === "string" ? 0 : address.port;
  });
  // All at once, so that they differ.
  const taken = await Promise.all(ports);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return taken;
}
