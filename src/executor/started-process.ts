import { readFileSync } from "node:fs";
import { constants } from "node:os";
import type { ProcessControl, TerminalSize } from "../core/seams/executor.ts";
import { sleep } from "../util/abort.ts";
import type { PseudoTerminal } from "./pseudo-terminal.ts";

const pollMs = 10;

/** A process of a container: reached by the id which the runtime writes down once it runs. */
export class StartedProcess implements ProcessControl {
  /** The runtime that attends to the process. */
  runtimePid: number | undefined;
  terminal: PseudoTerminal | undefined;
  readonly #pidFile: string;
  readonly #ended: AbortSignal;
  #pid: Promise<number | undefined> | undefined;
  #sent: Promise<void> = Promise.resolve();

  /** @param ended aborts when the process has */
  constructor(pidFile: string, ended: AbortSignal) {
    this.#pidFile = pidFile;
    this.#ended = ended;
  }

  /** One that comes before the process runs waits for it. */
  signal(signal: number): void {
    this.#pid ??= this.#findPid();
    const pid = this.#pid;
    this.#sent = this.#sent.then(async () => send(await pid, signal, this.#ended));
  }

  /** The runtime carries the size over to the process's own terminal. */
  resize(size: TerminalSize): void {
    if (this.#ended.aborted || this.terminal === undefined) return;
    this.terminal.resize(size);
    send(this.runtimePid, constants.signals.SIGWINCH, this.#ended);
  }

  async #findPid(): Promise<number | undefined> {
    while (!this.#ended.aborted) {
      const pid = readPid(this.#pidFile);
      if (pid !== undefined) return pid;
      await sleep(pollMs, this.#ended).catch(() => {});
    }
    return undefined;
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function send(pid: number | undefined, signal: number, ended: AbortSignal): void {
  if (pid === undefined || ended.aborted) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended, or the number names no signal.
  }
}
