import type { ShellCall, ShellIo } from "../../client/index.ts";
import type { CliContext, OutputStream } from "../context.ts";

/** Signals that are meant for what runs in the shell. */
const passedOn = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** This process's stdin and outputs for a process of a shell: a terminal is raw until dispose, and its size is told. */
export class LocalTerminal implements ShellIo, Disposable {
  /** Stdin and stdout are one. */
  readonly isTerminal: boolean;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly #owned = new DisposableStack();
  readonly #context: CliContext;
  readonly #call: Pick<ShellCall, "resize" | "signal">;

  constructor(context: CliContext, call: Pick<ShellCall, "resize" | "signal">) {
    const { stdin, stdout, signals } = context;
    this.#context = context;
    this.#call = call;
    this.isTerminal = stdin.isTTY === true && stdout.isTTY === true;
    this.stdin = stdin;
    // Nobody reads any more: what still comes must not keep the process alive.
    this.#owned.defer(() => stdin.destroy());
    for (const name of passedOn) {
      const pass = () => call.signal(name.slice(3));
      signals?.on(name, pass);
      this.#owned.defer(() => signals?.off(name, pass));
    }
    if (!this.isTerminal) return;
    stdin.setRawMode?.(true);
    this.#owned.defer(() => stdin.setRawMode?.(false));
    stdout.on?.("resize", this.onStarted);
    this.#owned.defer(() => stdout.off?.("resize", this.onStarted));
  }

  readonly onStarted = (): void => {
    const { rows = 0, columns = 0 } = this.#context.stdout;
    if (this.isTerminal) this.#call.resize(rows, columns);
  };

  async stdout(data: Uint8Array): Promise<void> {
    await written(this.#context.stdout, data);
  }

  async stderr(data: Uint8Array): Promise<void> {
    await written(this.#context.stderr, data);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

function written(stream: OutputStream, data: Uint8Array): Promise<void> {
  return new Promise((resolve) => void stream.write(data, () => resolve()));
}
