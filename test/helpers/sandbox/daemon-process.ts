import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const compileCache = fileURLToPath(new URL("../../../node_modules/.cache/compiled", import.meta.url));

export type DaemonKind = "coordinator" | "agent" | "standalone";

export interface DaemonOptions {
  readonly kind: DaemonKind;
  /** Unique in the sandbox. */
  readonly name: string;
  /** Command line after `buildfleet <kind>`. */
  readonly args: readonly string[];
  /** For the log and temporary files. */
  readonly directory: string;
  /** Prefix of the command line: network namespace. */
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a daemon says when it is up. */
export interface DaemonFacts {
  readonly addresses?: readonly string[];
  readonly id?: string;
}

/** One daemon as a process of its own. Its log goes to `<name>.log`; it is told to end when the test process has gone. */
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
    const [command = "", ...args] = [
      ...endsWithParent,
      ...(options.command ?? []),
      ...[process.execPath, entry, kind, "--log-format", "json", "--log-level", "debug"],
      ...options.args,
    ];
    const log = createWriteStream(this.logFile, { flags: "a" });
    const child = spawn(command, args, {
      stdio: ["ignore", "ignore", "pipe"],
      cwd: directory,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: directory,
        TMPDIR: directory,
        NODE_COMPILE_CACHE: compileCache,
        ...options.env,
      },
    });
    this.#child = child;
    this.pid = child.pid ?? -1;
    child.stderr.pipe(log);
    if (process.env["SANDBOX_LOG"] !== undefined) child.stderr.pipe(process.stderr, { end: false });
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#ended = true;
        resolve(signal ?? `code ${code}`);
      });
      child.once("error", (error) => resolve(error.message));
    });
    this.ready = new Promise((resolve, reject) => {
      const lines = createInterface({ input: child.stderr });
      lines.on("line", (line) => {
        if (line.includes(`"${kind} is ready"`)) resolve(JSON.parse(line) as DaemonFacts);
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

/** Prefix of a command line: the process gets SIGTERM when the one that started it ends, however that happens. */
export const endsWithParent: readonly string[] = ["setpriv", "--pdeathsig", "TERM", "--"];
