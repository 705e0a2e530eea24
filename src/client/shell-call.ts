import { type OpenShell, ShellInput, type ShellOpened, ShellOutput } from "../api/gen/debug.ts";
import type { ExecMessage, InitMessage } from "../api/gen/gateway.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { exitCodeOf } from "../core/errors/exec-failed-error.ts";
import { type ClientCall, decodeMessages, type GrpcClient, statusToError } from "../grpc/index.ts";
import { withSignal } from "../util/abort.ts";

/** What a process of a shell reads and writes. */
export interface ShellIo {
  /** Its end is that of the process's stdin. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** The next chunk comes when the promise resolves. A terminal has one output for both. */
  stdout(data: Uint8Array): Promise<void>;
  stderr(data: Uint8Array): Promise<void>;
  /** From now on it can be signalled and resized. */
  onStarted?(): void;
}

const processId = "shell";

/** A container in the state of a failed step, and one process in it. Dispose ends both. */
export class ShellCall implements AsyncDisposable {
  readonly opened: ShellOpened;
  readonly #call: ClientCall;
  readonly #messages: AsyncIterator<ShellOutput>;

  private constructor(call: ClientCall, messages: AsyncIterator<ShellOutput>, opened: ShellOpened) {
    this.#call = call;
    this.#messages = messages;
    this.opened = opened;
  }

  /**
   * @param signal only until it is open
   * @throws BuildError when there is no such step, or nothing of it is left
   */
  static async open(client: GrpcClient, request: OpenShell, signal: AbortSignal): Promise<ShellCall> {
    signal.throwIfAborted();
    const call = client.open("/buildfleet.v1.Debug/Shell");
    try {
      // The reason for a refusal comes with the answer.
      sendTo(call, { $case: "open", value: request }).catch(() => {});
      const messages = decodeMessages(ShellOutput, call.messages);
      const { value } = await withSignal(messages.next(), signal);
      if (value?.output?.$case !== "opened") throw new BuildError(Code.Internal, "the daemon opened no shell");
      return new ShellCall(call, messages, value.output.value);
    } catch (error) {
      await call[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @returns the exit code. @throws BuildError when the process could not run */
  async run(init: InitMessage, io: ShellIo): Promise<number> {
    await this.#send({ $case: "Init", value: init });
    const feeding = this.#feed(io.stdin);
    feeding.catch(() => {});
    for (let next = await this.#messages.next(); next.done !== true; next = await this.#messages.next()) {
      const input = next.value.output?.$case === "exec" ? next.value.output.value.input : undefined;
      if (input?.$case === "File" && input.value.Data.length > 0) {
        await io[input.value.Fd === 2 ? "stderr" : "stdout"](input.value.Data);
      }
      if (input?.$case === "Started") io.onStarted?.();
      if (input?.$case !== "Exit") continue;
      const error = input.value.Error && statusToError(input.value.Error);
      if (error !== undefined && exitCodeOf(error) === undefined) throw error;
      return input.value.Code;
    }
    throw new BuildError(Code.Unavailable, "the shell ended without saying how");
  }

  /** @param name without SIG */
  signal(name: string): void {
    this.#send({ $case: "Signal", value: { Name: name } }).catch(() => {});
  }

  resize(rows: number, columns: number): void {
    this.#send({ $case: "Resize", value: { Rows: rows, Cols: columns } }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call[Symbol.asyncDispose]();
  }

  async #feed(stdin: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const data of stdin) await this.#send({ $case: "File", value: { Fd: 0, EOF: false, Data: data } });
    await this.#send({ $case: "File", value: { Fd: 0, EOF: true, Data: new Uint8Array() } });
  }

  async #send(input: ExecMessage["input"]): Promise<void> {
    await sendTo(this.#call, { $case: "exec", value: { ProcessID: processId, input } });
  }
}

async function sendTo(call: ClientCall, input: ShellInput["input"]): Promise<void> {
  await call.send(ShellInput.encode({ input }).finish());
}
