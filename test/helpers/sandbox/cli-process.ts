import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait-for.ts";

const entry = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

export interface CliEnded {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run of the `buildfleet` command line, or of another client. */
export class CliProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<CliEnded>;
  #stdout = "";
  #stderr = "";

  /**
   * @param argv `build …`
   * @param env besides the PATH
   * @param program default: ours
   */
  constructor(argv: readonly string[], env: Readonly<Record<string, string>>, program = [process.execPath, entry]) {
    const [command = "", ...args] = [...program, ...argv];
    this.child = spawn(command, args, {
      env: { PATH: process.env["PATH"] ?? "", BUILDKIT_PROGRESS: "plain", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (data: Buffer) => {
      this.#stdout += data;
    });
    this.child.stderr?.on("data", (data: Buffer) => {
      this.#stderr += data;
    });
    this.ended = once(this.child, "close").then(([code]) => ({ code, stdout: this.#stdout, stderr: this.#stderr }));
  }

  /** What it has written to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Waits until it has written something to stderr. */
  async said(text: RegExp): Promise<void> {
    await waitFor(`the client to say ${text}`, () => {
      if (text.test(this.#stderr)) return true;
      if (this.child.exitCode !== null) throw new Error(`ended without saying ${text}: ${this.#stderr}`);
      return false;
    });
  }
}
