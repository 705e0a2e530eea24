import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { busyboxEntries, makeLayer, pushImage } from "../../../deploy/demo/base-image.ts";
import { ControlClient } from "../../../src/client/index.ts";
import type { SnapshotterName } from "../../../src/config/index.ts";
import { connectGrpc } from "../../../src/grpc/index.ts";
import { mount, unmount } from "../../../src/util/sys/index.ts";
import { CertificateAuthority } from "../certificate-authority.ts";
import { BuildClient } from "./build-client.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { FaultyProxy } from "./faulty-proxy.ts";
import {
  cgroupsUnder,
  mountsUnder,
  processesInCgroups,
  processesOf,
  removeCgroups,
  unmountAllUnder,
} from "./leftovers.ts";
import { type NetworkHost, SandboxNetwork } from "./network.ts";
import { type ServiceProcess, startNats, startRegistry } from "./service-process.ts";
import { waitFor } from "./wait-for.ts";

const shiftedClock = new URL("./shifted-clock.ts", import.meta.url).href;

export interface AgentOptions {
  readonly slots?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly snapshotter?: SnapshotterName;
  /** Default: what the machine runs. */
  readonly platforms?: readonly string[];
  /** Default: none. */
  readonly cdiSpecDirs?: readonly string[];
  /** On top of the sandbox's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Data directory; default one of its own under the sandbox. */
  readonly root?: string;
  /** `1s`; default as the daemon's. */
  readonly drainTimeout?: string;
  /** `1s`; default never. */
  readonly idleExit?: string;
}

export interface SandboxOptions {
  /** One daemon with all in it, in place of NATS, coordinators and agents. */
  readonly standalone?: boolean;
  /** Agents to start with. */
  readonly agents?: number;
  readonly agent?: AgentOptions;
  readonly coordinators?: number;
  /** Each agent in a network namespace of its own. */
  readonly namespaces?: boolean;
  /** A proxy in front of the registry that fails when told to; images have the same names behind both. */
  readonly proxy?: boolean;
  /** Mutual TLS between coordinators and agents, with certificates of a CA of the sandbox's own. */
  readonly fleetTls?: boolean;
  readonly insecureEntitlements?: readonly string[];
  /** How long the files of failed steps are kept, `1s`; default as the daemons'. */
  readonly keepFailed?: string;
  /** Rules of automatic clean-up, as `[[worker.oci.gcpolicy]]` tables; default: agents keep all. */
  readonly gcPolicy?: string;
  /** Coordinators serve figures. */
  readonly metrics?: boolean;
  /** Daemons have wall clocks that `setClock` can set. */
  readonly clocks?: boolean;
  /** For all daemons; of the test's own environment they have only the PATH. */
  readonly env?: Readonly<Record<string, string>>;
}

/** An agent and what is known of it. */
export interface SandboxAgent {
  readonly name: string;
  readonly id: string;
  readonly root: string;
  /** Its end of the cable, when it has a network of its own. */
  readonly host: NetworkHost | undefined;
  /** The process now; another one after `restartAgent`. */
  process: DaemonProcess;
}

/** A coordinator or a standalone daemon. */
export interface SandboxHead {
  readonly name: string;
  /** Where clients connect; the same after a restart. */
  readonly address: string;
  process: DaemonProcess;
}

/**
 * A whole fleet for one test: registry with base images, NATS, coordinators and agents as processes, in a directory of its
 * own. Dispose ends everything and fails when anything is left: processes, containers, mounts, cgroups, namespaces.
 *
 * Image `busybox:latest` of its registry has a shell and users; `layered:latest` stands on it with whiteouts, links, set-id
 * files and attributes.
 */
export class Sandbox implements AsyncDisposable {
  readonly root: string;
  readonly heads: SandboxHead[] = [];
  readonly agents: SandboxAgent[] = [];
  readonly #options: SandboxOptions;
  readonly #owned = new AsyncDisposableStack();
  readonly #cgroup: string;
  readonly #ended: DaemonProcess[] = [];
  readonly #disks: string[] = [];
  #headsNamed = 0;
  /** Flags of heads and of agents. */
  #tlsFlags: { readonly head: readonly string[]; readonly agent: readonly string[] } = { head: [], agent: [] };
  #network: SandboxNetwork | undefined;
  #registry: ServiceProcess | undefined;
  #nats: ServiceProcess | undefined;
  #proxy: FaultyProxy | undefined;

  private constructor(root: string, options: SandboxOptions) {
    this.root = root;
    this.#options = options;
    this.#cgroup = basename(root);
  }

  static async start(options: SandboxOptions = {}): Promise<Sandbox> {
    const sandbox = new Sandbox(await mkdtemp(join(tmpdir(), "buildfleet-")), options);
    // The test runner ends files that take too long this way.
    const end = () => sandbox[Symbol.asyncDispose]().finally(() => process.exit(143));
    process.once("SIGTERM", end);
    sandbox.#owned.defer(() => void process.off("SIGTERM", end));
    try {
      await sandbox.#start();
      return sandbox;
    } catch (error) {
      await sandbox[Symbol.asyncDispose]().catch(() => {});
      throw error;
    }
  }

  /** Host name of the registry, with port. */
  get registry(): string {
    return this.#registry?.address ?? "";
  }

  /** The registry; stopping and starting it is a test's right. */
  get registryServer(): ServiceProcess {
    if (this.#registry === undefined) throw new Error("the sandbox has not started");
    return this.#registry;
  }

  /** The proxy in front of the registry. */
  get proxy(): FaultyProxy {
    if (this.#proxy === undefined) throw new Error("the sandbox was started without proxy");
    return this.#proxy;
  }

  /** Called when the sandbox is disposed, before daemons end. */
  defer(end: () => Promise<void> | void): void {
    this.#owned.defer(end);
  }

  /** The NATS server; stopping and starting it is a test's right. */
  get nats(): ServiceProcess {
    if (this.#nats === undefined) throw new Error("a standalone daemon has no NATS");
    return this.#nats;
  }

  /** Address that agents in namespaces reach this process at. */
  get hostAddress(): string {
    return this.#network?.address ?? "127.0.0.1";
  }

  /** `<registry>/<name>` */
  image(name = "busybox:latest"): string {
    return `${this.registry}/${name}`;
  }

  /** A new connection to a coordinator, closed with the sandbox. */
  async connect(head = 0): Promise<BuildClient> {
    const found = this.heads[head];
    if (found === undefined) throw new Error(`there is no head ${head}`);
    return this.#owned.use(await BuildClient.connect(found.address, join(this.root, "client")));
  }

  /** A host for a server of the test's own, on the network of the agents' namespaces. */
  async addHost(): Promise<NetworkHost> {
    if (this.#network === undefined) throw new Error("the sandbox was started without namespaces");
    return this.#network.addHost();
  }

  async startAgent(options: AgentOptions = this.#options.agent ?? {}): Promise<SandboxAgent> {
    const name = `agent-${this.agents.length}`;
    const host = await this.#network?.addHost();
    const root = options.root ?? join(this.root, name);
    const start = () => this.#spawnAgent(name, root, host, options);
    const process = start();
    const { id = "" } = await process.ready;
    const agent: SandboxAgent = { name, id, root, host, process };
    this.agents.push(agent);
    this.#restarts.set(agent, start);
    await this.#joined();
    return agent;
  }

  /** Starts an agent again that has ended, on the same data and address. */
  async restartAgent(agent: SandboxAgent): Promise<void> {
    const start = this.#restarts.get(agent);
    if (start === undefined || agent.process.running) throw new Error(`${agent.name} is running`);
    this.#ended.push(agent.process);
    agent.process = start();
    await agent.process.ready;
    await this.#joined();
  }

  /** Starts a coordinator or standalone daemon again that has ended, on the same data and address. */
  async restartHead(head: SandboxHead): Promise<void> {
    if (head.process.running) throw new Error(`${head.name} is running`);
    this.#ended.push(head.process);
    head.process = this.#spawnHead(head.name, head.address);
    await head.process.ready;
    await this.#joined();
  }

  async startHead(): Promise<SandboxHead> {
    const name = this.#options.standalone ? "standalone" : `coordinator-${this.#headsNamed++}`;
    const process = this.#spawnHead(name, `tcp://${this.hostAddress}:0`);
    const [address = ""] = (await process.ready).addresses ?? [];
    const head: SandboxHead = { name, address, process };
    this.heads.push(head);
    return head;
  }

  /** A disk of its own for an agent: a file system of so many bytes. @returns where it is mounted */
  async mountDisk(sizeBytes: number): Promise<string> {
    const path = join(this.root, `disk-${this.#disks.length}`);
    await mkdir(path);
    mount("disk", path, "tmpfs", 0, `size=${sizeBytes}`);
    this.#disks.push(path);
    return path;
  }

  /** Sets a daemon's wall clock so far from the machine's; it stays so over a restart. */
  async setClock({ name }: { readonly name: string }, shiftMs: number): Promise<void> {
    if (!this.#options.clocks) throw new Error("the sandbox was started without clocks");
    await writeFile(`${this.#clockFile(name)}.new`, String(shiftMs));
    await rename(`${this.#clockFile(name)}.new`, this.#clockFile(name));
  }

  /** Steps that run now on any agent of the sandbox: the commands in each container. */
  containers(): readonly string[] {
    const byContainer = Map.groupBy(processesInCgroups(this.#cgroup), (process) => process.container);
    return [...byContainer.values()].map((processes) => processes.map(({ command }) => command).join("; "));
  }

  /** Waits until no step runs and nothing of one is left. */
  async idle(): Promise<void> {
    let left: string[] = [];
    try {
      await waitFor("the fleet to be idle", () => {
        left = this.#leftoversOfSteps().filter((item) => !this.#ownMounts.has(item));
        return left.length === 0;
      });
    } catch {
      assert.deepEqual(left, [], "left with no build running");
    }
  }

  /** All logs, for messages of failures and searches. */
  async logs(): Promise<string> {
    const files = new Set([...this.#daemons()].map((daemon) => daemon.logFile));
    return (await Promise.all([...files].map((file) => readFile(file, "utf8")))).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left: string[] = [];
    await this.#owned.disposeAsync();
    const killed = this.agents.filter((agent) => !agent.process.running);
    const stopped = [...this.#daemons()].map(async (daemon) => {
      const ended = daemon.running;
      const how = await stopInTime(daemon);
      if (ended && how !== "code 0") left.push(`${daemon.name} ended with ${how}: ${daemon.log.slice(-1000)}`);
    });
    await Promise.all(stopped);
    await Promise.all([this.#nats?.stop(), this.#proxy?.[Symbol.asyncDispose](), this.#registry?.stop()]);
    // A lost host takes its containers and mounts with it.
    if (killed.length > 0) for (const { pid } of processesInCgroups(this.#cgroup)) endProcess(pid);
    for (const agent of killed) endHost(agent.root);
    if (killed.length > 0) await this.#cgroupsToEmpty();
    for (const disk of this.#disks.splice(0)) unmount(disk);
    left.push(...this.#leftoversOfSteps());
    left.push(...processesOf(this.root).map(({ pid, command }) => `process ${pid}: ${command}`));
    for (const { pid } of processesOf(this.root)) endProcess(pid);
    unmountAllUnder(this.root);
    await this.#network?.[Symbol.asyncDispose]();
    try {
      removeCgroups(this.#cgroup);
    } catch (error) {
      left.push(String(error));
    }
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 });
    assert.deepEqual(left, [], "left after the sandbox");
  }

  readonly #restarts = new Map<SandboxAgent, () => DaemonProcess>();

  async #start(): Promise<void> {
    const { standalone = false, namespaces = false, agents = 1, coordinators = 1 } = this.#options;
    if (namespaces) this.#network = await SandboxNetwork.create();
    const registry = async () => {
      this.#registry = await startRegistry(this.hostAddress, join(this.root, "registry"));
      await pushBaseImages(this.registry);
      if (this.#options.proxy) this.#proxy = await FaultyProxy.start(this.registry, this.hostAddress);
      await this.#writeConfig();
    };
    if (standalone) {
      await registry();
      await this.startHead();
      return;
    }
    const nats = async () => {
      this.#nats = await startNats(this.hostAddress, join(this.root, "nats"));
    };
    await Promise.all([registry(), nats()]);
    if (this.#options.fleetTls) await this.#issueCertificates();
    const starts: Promise<unknown>[] = [];
    for (let i = 0; i < coordinators; i++) starts.push(this.startHead());
    await Promise.all(starts);
    for (let i = 0; i < agents; i++) await this.startAgent();
  }

  #spawnHead(name: string, address: string): DaemonProcess {
    const { keepFailed } = this.#options;
    const frontDoor = [
      ...["--config", this.#configFile, "--root", join(this.root, name), "--addr", address],
      ...(keepFailed === undefined ? [] : ["--keep-failed", keepFailed]),
      ...(this.#options.metrics ? ["--metrics-addr", "127.0.0.1:0"] : []),
      ...(this.#options.insecureEntitlements ?? []).flatMap((name) => ["--allow-insecure-entitlement", name]),
    ];
    const { standalone, agent = {} } = this.#options;
    const env = this.#environment(name);
    if (standalone) {
      const args = [...frontDoor, ...workerFlags(agent)];
      return new DaemonProcess({ kind: "standalone", name, args, directory: this.root, env });
    }
    const args = [
      ...frontDoor,
      "--nats",
      this.#natsUrl,
      "--agent-link",
      `${this.hostAddress}:0`,
      ...this.#tlsFlags.head,
    ];
    return new DaemonProcess({ kind: "coordinator", name, args, directory: this.root, env });
  }

  #spawnAgent(name: string, root: string, host: NetworkHost | undefined, options: AgentOptions): DaemonProcess {
    return new DaemonProcess({
      kind: "agent",
      name,
      args: [
        ...["--config", this.#configFile, "--root", root, "--nats", this.#natsUrl],
        ...["--blob-server", `${host?.address ?? "127.0.0.1"}:0`],
        ...this.#tlsFlags.agent,
        ...(options.drainTimeout === undefined ? [] : ["--drain-timeout", options.drainTimeout]),
        ...(options.idleExit === undefined ? [] : ["--idle-exit", options.idleExit]),
        ...workerFlags(options),
      ],
      directory: this.root,
      ...(host === undefined ? {} : { command: host.command }),
      env: { ...this.#options.env, ...options.env },
    });
  }

  #environment(name: string): Readonly<Record<string, string>> {
    const { env = {}, clocks = false } = this.#options;
    if (!clocks) return env;
    return { ...env, NODE_OPTIONS: `--import ${shiftedClock}`, SHIFTED_CLOCK: this.#clockFile(name) };
  }

  #clockFile(name: string): string {
    return join(this.root, `${name}.clock`);
  }

  async #issueCertificates(): Promise<void> {
    const ca = await CertificateAuthority.create(join(this.root, "ca"));
    const flags = async (name: string, names: string) => {
      const files = await ca.issue(name, names);
      return ["--fleet-tlscert", files.cert, "--fleet-tlskey", files.key, "--fleet-tlscacert", files.ca];
    };
    this.#tlsFlags = {
      head: await flags("head", `IP:${this.hostAddress}`),
      agent: await flags("agent", "DNS:agent"),
    };
  }

  get #natsUrl(): string {
    return `nats://${this.nats.address}`;
  }

  get #configFile(): string {
    return join(this.root, "buildkitd.toml");
  }

  /** What all daemons of the sandbox have in common. */
  async #writeConfig(): Promise<void> {
    const hosts = [this.registry, ...(this.#proxy === undefined ? [] : [this.#proxy.address])];
    const registries = hosts.map((host) => `[registry."${host}"]\nhttp = true\n`);
    const { gcPolicy } = this.#options;
    const worker = [
      `[worker.oci]\ngc = ${gcPolicy !== undefined}\ndefaultCgroupParent = "/${this.#cgroup}"\n`,
      gcPolicy ?? "",
    ].join("\n");
    await writeFile(this.#configFile, [worker, ...registries].join("\n"));
  }

  /** Every running coordinator knows every running agent. */
  async #joined(): Promise<void> {
    const ids = this.agents.filter(({ process }) => process.running).map(({ id }) => id);
    for (const { address, process } of this.heads) {
      if (!process.running || this.#options.standalone) continue;
      await using grpc = await connectGrpc(address);
      const control = new ControlClient(grpc);
      await waitFor("agents to join", async () => {
        const workers = await control.workers([], AbortSignal.timeout(10_000));
        return ids.every((id) => workers.some((worker) => worker.ID === id));
      });
    }
  }

  *#daemons(): Generator<DaemonProcess> {
    yield* this.#ended;
    for (const { process } of [...this.heads, ...this.agents]) yield process;
  }

  /** Removes the cgroups of containers that were killed, once the kernel lets go of them. */
  async #cgroupsToEmpty(): Promise<void> {
    await waitFor("killed containers to end", () => processesInCgroups(this.#cgroup).length === 0);
    removeCgroups(this.#cgroup);
  }

  /** What a running agent keeps mounted for itself. */
  get #ownMounts(): ReadonlySet<string> {
    const roots = this.#options.standalone
      ? this.heads.map(({ name }) => join(this.root, name))
      : this.agents.map(({ root }) => root);
    return new Set([...roots.map((root) => join(root, "executor")), ...this.#disks].map((path) => `mount: ${path}`));
  }

  #leftoversOfSteps(): string[] {
    return [
      ...this.containers().map((command) => `container: ${command}`),
      ...mountsUnder(this.root).map((path) => `mount: ${path}`),
      ...cgroupsUnder(this.#cgroup)
        .filter((path) => basename(path) !== "buildkit")
        .map((path) => `cgroup: ${path}`),
    ];
  }
}

async function pushBaseImages(registry: string): Promise<void> {
  const base = makeLayer(busyboxEntries());
  const changes = makeLayer([
    { path: "data", directory: true },
    { path: "data/kept", data: "kept" },
    { path: "data/link", hardLink: "data/kept" },
    { path: "data/below", data: "below" },
    { path: "data/deleted", data: "deleted" },
    { path: "opaque", directory: true },
    { path: "opaque/below", data: "below" },
    { path: "usr/bin/as-root", data: "#!/bin/sh\nid -u\n", mode: 0o4755 },
  ]);
  const more = makeLayer([
    { path: "data", directory: true },
    { path: "data/.wh.deleted" },
    { path: "data/link-below", hardLink: "data/below" },
    { path: "data/named", data: "named", uid: 1000, gid: 50, xattrs: { "user.origin": "layer" } },
    { path: "opaque", directory: true },
    { path: "opaque/.wh..wh..opq" },
    { path: "opaque/above", data: "above" },
  ]);
  await pushImage(`${registry}/busybox:latest`, [base]);
  await pushImage(`${registry}/layered:latest`, [base, changes, more], { Env: ["PATH=/usr/bin:/bin", "LAYERED=yes"] });
}

function workerFlags(options: AgentOptions): string[] {
  return [
    ...["--slots", String(options.slots ?? 2)],
    ...(options.cdiSpecDirs ?? [join(tmpdir(), "no-cdi-specs")]).flatMap((directory) => ["--cdi-spec-dir", directory]),
    ...(options.platforms ?? []).flatMap((platform) => ["--platform", platform]),
    ...(options.snapshotter === undefined ? [] : ["--snapshotter", options.snapshotter]),
    ...Object.entries(options.labels ?? {}).flatMap(([key, value]) => ["--label", `${key}=${value}`]),
  ];
}

/** A daemon that does not end within a minute is killed; that shows in the answer. */
async function stopInTime(daemon: DaemonProcess): Promise<string> {
  daemon.signal("SIGCONT");
  const timer = setTimeout(() => daemon.signal("SIGKILL"), 60_000);
  try {
    return await daemon.stop();
  } finally {
    clearTimeout(timer);
  }
}

/** Ends what an agent that was killed left running. */
function endHost(root: string): void {
  for (const { pid } of processesOf(root)) endProcess(pid);
  unmountAllUnder(root);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
