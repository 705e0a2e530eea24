import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

export interface DaemonOptions {
  readonly name: string;
  readonly argv: readonly string[];
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What a daemon gets to end by itself before it is killed. */
const graceMs = 20_000;

/** A server of the demo, its output in a file. It ends when this process does, however that happens. */
export class DaemonProcess implements AsyncDisposable {
  readonly name: string;
  readonly logFile: string;
  /** Rejects when the daemon ends before it is stopped. */
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<string>;
  #stopping = false;

  constructor(options: DaemonOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const log = openSync(options.logFile, "w");
    // In a session of its own: Ctrl-C is this process's affair, which ends the others in order.
    const child = spawn("setpriv", ["--pdeathsig", "TERM", ...options.argv], {
      stdio: ["ignore", log, log],
      detached: true,
      cwd: "/",
      env: { ...process.env, ...options.env },
    });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
      child.once("error", (error) => resolve(error.message));
    });
    this.failed = this.#exited.then((how) => {
      if (this.#stopping) return new Promise<never>(() => {});
      throw new Error(`${this.name} ended (${how})${this.#lastLines()}`);
    });
    this.failed.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #lastLines(): string {
    const lines = readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-5).join("\n");
    return lines === "" ? "" : `:\n${lines}`;
  }
}
