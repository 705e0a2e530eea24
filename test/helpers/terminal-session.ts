import { spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { PseudoTerminal } from "../../src/executor/pseudo-terminal.ts";

/** A command on a terminal of its own, with somebody who types. */
export class TerminalSession implements AsyncDisposable {
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  readonly #terminal = new PseudoTerminal();
  readonly #child: ReturnType<typeof spawn>;
  #screen = "";
  #seen = 0;
  #wake = Promise.withResolvers<void>();

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    const fd = openSync(this.#terminal.path, constants.O_RDWR | constants.O_NOCTTY);
    this.#child = spawn("setsid", ["--ctty", "--wait", command, ...args], { env, stdio: [fd, fd, fd] });
    closeSync(fd);
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => resolve(signal ?? code ?? -1));
      this.#child.once("error", (error) => resolve(error.message));
    });
    void this.#read();
  }

  async type(text: string): Promise<void> {
    await this.#terminal.write(Buffer.from(text));
  }

  resize(rows: number, columns: number): void {
    this.#terminal.resize({ rows, columns });
  }

  /** Waits for a text that was not waited for before. @throws when the terminal closes without it */
  async until(text: string | RegExp): Promise<void> {
    const limit = AbortSignal.timeout(60_000);
    for (;;) {
      const rest = this.#screen.slice(this.#seen);
      const at = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
      if (at !== -1) {
        const length = typeof text === "string" ? text.length : (text.exec(rest)?.[0].length ?? 0);
        this.#seen += at + length;
        return;
      }
      if (limit.aborted) throw new Error(`${text} did not come: ${rest}`);
      await Promise.race([this.#wake.promise, new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    await this.#terminal[Symbol.asyncDispose]();
  }

  async #read(): Promise<void> {
    for await (const data of this.#terminal.output()) {
      this.#screen += Buffer.from(data).toString();
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
  }
}
