import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { endsWithParent } from "./daemon-process.ts";
import { waitFor } from "./wait-for.ts";

/** A server of others that the sandbox needs; can be stopped and started again on the same address and data. */
export class ServiceProcess implements AsyncDisposable {
  /** `host:port` */
  readonly address: string;
  readonly #argv: readonly string[];
  #child: ChildProcess | undefined;

  constructor(address: string, argv: readonly string[]) {
    this.address = address;
    this.#argv = argv;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const [command = "", ...args] = [...endsWithParent, ...this.#argv];
    const child = spawn(command, args, { stdio: "ignore" });
    this.#child = child;
    child.on("error", () => {});
    const [host, port] = this.address.split(":");
    await waitFor(`${this.#argv[0]} to listen on ${this.address}`, async () => {
      if (child.pid === undefined || child.exitCode !== null) throw new Error(`${this.#argv[0]} does not run`);
      return canConnect(host ?? "", Number(port));
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

/** An image registry over plain HTTP. */
export async function startRegistry(host: string, directory: string): Promise<ServiceProcess> {
  const address = `${host}:${await freePort(host)}`;
  await mkdir(directory, { recursive: true });
  const config = join(directory, "config.yml");
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "error", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(directory, "data") }, delete: { enabled: true } },
      http: { addr: address },
    }),
  );
  const registry = new ServiceProcess(address, ["docker-registry", "serve", config]);
  await registry.start();
  return registry;
}

/** NATS with JetStream. */
export async function startNats(host: string, directory: string): Promise<ServiceProcess> {
  const port = await freePort(host);
  const argv = ["nats-server", "-a", host, "-p", String(port), "-js", "-sd", directory];
  const nats = new ServiceProcess(`${host}:${port}`, argv);
  await nats.start();
  return nats;
}

/** A TCP port of an address nobody listens on now. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function canConnect(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  try {
    return await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
