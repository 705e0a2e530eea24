import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("./daemon-entry.ts", import.meta.url));
const compileCache = fileURLToPath(new URL("../../../node_modules/.cache/compiled", import.meta.url));

export type DaemonKind = "coordinator" | "agent" | "standalone";

export interface DaemonOptions {
  readonly kind: DaemonKind;
  /** Unique in the sandbox. */
  readonly name: string;
  /** Configuration object of `src/config` for this kind. */
  readonly config: object;
  /** For the log and temporary files. */
  readonly directory: string;
  /** Prefix of the command line: network namespace. */
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a daemon says when it is up. */
export interface DaemonFacts {
  readonly addresses?: readonly string[];
  readonly agentLinkAddress?: string;
  readonly id?: string;
  readonly blobUrl?: string;
}

/** One daemon as a process of its own. Its log goes to `<name>.log`; it ends with the test process. */
export class DaemonProcess {
  readonly name: string;
  readonly kind: DaemonKind;
  readonly pid: number;
  readonly logFile: string;
  readonly ready: Promise<DaemonFacts>;
  /** Resolves with how it ended. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  #ended = false;

  constructor(options: DaemonOptions) {
    const { kind, name, directory } = options;
    this.kind = kind;
    this.name = name;
    this.logFile = join(directory, `${name}.log`);
    const [command = "", ...args] = [...(options.command ?? []), process.execPath, entry, kind];
    const log = createWriteStream(this.logFile, { flags: "a" });
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      cwd: directory,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: directory,
        TMPDIR: directory,
        NODE_COMPILE_CACHE: compileCache,
        ...tracingSettings(),
        ...options.env,
      },
    });
    this.#child = child;
    this.pid = child.pid ?? -1;
    child.stderr.pipe(log);
    if (process.env["SANDBOX_LOG"] !== undefined) child.stderr.pipe(process.stderr, { end: false });
    child.stdin.on("error", () => {});
    // Its standard input stays open: the daemon ends when it closes, however this process ends.
    child.stdin.write(`${JSON.stringify(options.config)}\n`);
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#ended = true;
        resolve(signal ?? `code ${code}`);
      });
      child.once("error", (error) => resolve(error.message));
    });
    this.ready = new Promise((resolve, reject) => {
      let text = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.endsWith("\n")) resolve(JSON.parse(text) as DaemonFacts);
      });
      this.exited.then((how) => reject(new Error(`${name} ended at its start (${how}):\n${this.log.slice(-2000)}`)));
    });
    this.ready.catch(() => {});
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** What it has logged until now. */
  get log(): string {
    return readFileSync(this.logFile, "utf8");
  }

  /** Sends a signal and nothing more. */
  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Ends it and waits. @returns how it ended, e.g. `code 0` or `SIGKILL` */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<string> {
    this.signal(signal);
    return this.exited;
  }
}

/** What the test asked for by its own environment. */
function tracingSettings(): Record<string, string> {
  const settings = Object.entries(process.env).filter(([name]) => /^(OTEL_|JAEGER_TRACE$)/.test(name));
  return Object.fromEntries(settings.map(([name, value]) => [name, value ?? ""]));
}
