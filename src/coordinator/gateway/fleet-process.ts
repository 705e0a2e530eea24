import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ProcessControl, ProcessIo, TerminalSize } from "../../core/seams/executor.ts";
import type { GatewayProcess } from "../../core/seams/gateway-container.ts";
import type { TaskChannel } from "../../core/seams/task-channel.ts";
import { maxInputBytes, type ProcessInput, type ProcessOutput } from "../../core/values/container-messages.ts";
import { withSignal } from "../../util/abort.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** The coordinator's end of one process in a container. */
export class FleetProcess implements GatewayProcess {
  readonly ended: Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  readonly #io: ProcessIo;
  readonly #control: ProcessControl;

  constructor(io: ProcessIo, control: ProcessControl) {
    this.#io = io;
    this.#control = control;
    this.ended = this.#end.promise;
    this.ended.catch(() => {});
  }

  signal(signal: number): void {
    this.#control.signal(signal);
  }

  resize(size: TerminalSize): void {
    this.#control.resize(size);
  }

  /** It can no longer be heard of. */
  fail(error: BuildError): void {
    this.#end.reject(error);
  }

  /** Carries bytes until the process has ended. */
  async serve(channel: TaskChannel, signal: AbortSignal): Promise<void> {
    try {
      const feeding = this.#feed(channel);
      feeding.catch(() => {});
      await withSignal(this.#deliver(channel), signal);
    } catch (error) {
      this.fail(signal.aborted ? connectionLost() : BuildError.from(error));
      throw error;
    }
  }

  async #feed(channel: TaskChannel): Promise<void> {
    if (this.#io.stdin === undefined) return;
    const send = (input: ProcessInput) => channel.send(encode(input));
    for await (const data of this.#io.stdin) {
      for (let at = 0; at < data.length; at += maxInputBytes) {
        await send({ type: "stdin", data: data.subarray(at, at + maxInputBytes) });
      }
    }
    await send({ type: "end" });
  }

  async #deliver(channel: TaskChannel): Promise<void> {
    for await (const message of channel.messages) {
      const output = decode<ProcessOutput>(message);
      switch (output.type) {
        case "started":
          this.#io.onStarted?.(this.#control);
          break;
        case "output":
          await (output.stream === 1 ? this.#io.stdout(output.data) : this.#io.stderr(output.data));
          break;
        case "exit":
          if (output.error === undefined) this.#end.resolve();
          else this.#end.reject(BuildError.fromWire(output.error));
          return;
      }
    }
    throw connectionLost();
  }
}

function connectionLost(): BuildError {
  return new BuildError(Code.Unavailable, "lost the connection to the agent that ran the process", {
    infrastructure: true,
  });
}
