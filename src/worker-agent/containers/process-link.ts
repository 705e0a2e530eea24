import type { BuildError } from "../../core/errors/build-error.ts";
import type { ProcessControl, ProcessIo } from "../../core/seams/executor.ts";
import type { SessionStream } from "../../core/seams/session-caller.ts";
import type { ProcessInput, ProcessOutput } from "../../core/values/container-messages.ts";
import { AsyncQueue } from "../../util/async-queue.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** Chunks of stdin held for a process that does not read. */
const stdinChunks = 4;

export interface ProcessLinkOptions {
  readonly hasStdin: boolean;
  readonly signal: AbortSignal;
  readonly onStarted: (control: ProcessControl) => void;
}

/** A process's input and output over its channel. Owns the channel. */
export class ProcessLink implements AsyncDisposable {
  readonly io: ProcessIo;
  /** Aborts also when the channel breaks. */
  readonly signal: AbortSignal;
  readonly #channel: SessionStream;
  readonly #broken = new AbortController();
  readonly #received = Promise.withResolvers<void>();
  readonly #stdin = new AsyncQueue<Uint8Array>(stdinChunks);

  constructor(channel: SessionStream, options: ProcessLinkOptions) {
    this.#channel = channel;
    this.signal = AbortSignal.any([options.signal, this.#broken.signal]);
    const output = (stream: 1 | 2) => (data: Uint8Array) => this.#send({ type: "output", stream, data });
    this.io = {
      ...(options.hasStdin ? { stdin: this.#stdin } : {}),
      stdout: output(1),
      stderr: output(2),
      onStarted: (control) => {
        options.onStarted(control);
        void this.#send({ type: "started" });
      },
    };
    void this.#receive();
  }

  /** Says how the process ended. */
  async exit(failure: BuildError | undefined): Promise<void> {
    this.#stdin.end();
    await this.#send({ type: "exit", ...(failure === undefined ? {} : { error: failure.toWire() }) });
    this.#channel.closeSend();
    // Until the coordinator has it all.
    await this.#received.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stdin.end();
    await this.#channel[Symbol.asyncDispose]();
  }

  async #receive(): Promise<void> {
    try {
      for await (const message of this.#channel.messages) {
        const input = decode<ProcessInput>(message);
        if (input.type === "end") this.#stdin.end();
        else await this.#stdin.push(input.data);
      }
    } catch (error) {
      this.#broken.abort(error);
    } finally {
      this.#stdin.end();
      this.#received.resolve();
    }
  }

  async #send(message: ProcessOutput): Promise<void> {
    try {
      await this.#channel.send(encode(message));
    } catch (error) {
      this.#broken.abort(error);
    }
  }
}
