import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";

export interface ServiceOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Takes standard output and standard error. */
  readonly logFile: string;
  /** Written to its standard input, which then stays open. */
  readonly input?: string;
  /** Resolves once it serves; asked again and again. */
  readonly ready: (log: string) => boolean | Promise<boolean>;
}

/** Whatever ends this process ends them. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A server that lives as long as the benchmarks need it. */
export class Service implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;

  private constructor(child: ChildProcess, exited: Promise<void>) {
    this.#child = child;
    this.#exited = exited;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** @throws Error with its log when it ends at once */
  static async start(options: ServiceOptions): Promise<Service> {
    const log = createWriteStream(options.logFile);
    const child = spawn(options.command, [...options.args], { stdio: ["pipe", "pipe", "pipe"] });
    running.add(child);
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.stdin.on("error", () => {});
    if (options.input !== undefined) child.stdin.write(options.input);
    let ended = false;
    const exited = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        log.write(`${error.message}\n`);
        ended = true;
        resolve();
      });
      child.once("exit", () => {
        running.delete(child);
        ended = true;
        resolve();
      });
    });
    const service = new Service(child, exited);
    const deadline = Date.now() + 60_000;
    for (;;) {
      const text = await readFile(options.logFile, "utf8").catch(() => "");
      if (await options.ready(text)) return service;
      if (ended || Date.now() > deadline) {
        await service[Symbol.asyncDispose]();
        throw new Error(`${options.command} did not start:\n${text.slice(-2000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    const last = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    await this.#exited;
    clearTimeout(last);
  }
}

/** A port of loopback nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** True when somebody listens on a port of loopback. */
export async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    return await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
