import type { Http2Stream } from "node:http2";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { encodeFrame } from "./frame.ts";

/** Bytes handed to node but not yet to the peer's window before `send` waits. node's own 16 KB makes each message a round trip. */
const bufferBytes = 256 << 10;

/** Sends messages on an HTTP/2 stream and waits while the peer's window is closed. */
export class MessageWriter {
  readonly #stream: Http2Stream;
  #waiters: { readonly resolve: () => void; readonly reject: (error: BuildError) => void }[] = [];
  #error: BuildError | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  /** Resolves once there is room for more. @throws BuildError when the call has ended */
  async send(message: Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (this.#stream.writableEnded || this.#stream.destroyed) throw new BuildError(Code.Canceled, "stream is closed");
    this.#stream.write(encodeFrame(message), this.#onWritten);
    if (this.#stream.writableLength <= bufferBytes) return;
    await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  readonly #onWritten = (): void => {
    if (this.#waiters.length === 0 || this.#stream.writableLength > bufferBytes) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  };

  /** The call is over: senders that wait, and later ones, get the error. */
  fail(error: BuildError): void {
    this.#error ??= error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
