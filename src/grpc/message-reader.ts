import type { Http2Stream } from "node:http2";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { type Frame, FrameDecoder } from "./frame.ts";

const gunzipAsync = promisify(gunzip);

/** Decoded bytes held before the stream is paused, and so the peer's window closes. */
const bufferBytes = 1 << 20;

export interface MessageReaderOptions {
  readonly maxMessageBytes: number;
  /** `grpc-encoding` of the peer, known at the latest when the first message has arrived. */
  readonly encoding: () => string;
  /** All bytes have been received in good order. */
  readonly onEnd: () => void;
  /** The peer sent something that is no gRPC. */
  readonly onError: (error: BuildError) => void;
}

/** The messages that arrive on an HTTP/2 stream. One consumer; the peer is held back while the consumer is slow. */
export class MessageReader implements AsyncIterable<Uint8Array> {
  readonly #stream: Http2Stream;
  readonly #options: MessageReaderOptions;
  readonly #decoder: FrameDecoder;
  #queue: Frame[] = [];
  #head = 0;
  #queuedBytes = 0;
  #over = false;
  #error: BuildError | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream, options: MessageReaderOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#decoder = new FrameDecoder(options.maxMessageBytes);
    stream.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    stream.on("end", () => this.#end());
  }

  /** No more messages: what is queued can still be read, then the iterator ends or throws. The first call counts. */
  finish(error?: BuildError): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#wake?.();
  }

  /** Drops what is queued as well. */
  fail(error: BuildError): void {
    this.#clear();
    if (this.#over) this.#error ??= error;
    this.finish(error);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#decoder.push(chunk, (frame) => {
        this.#queue.push(frame);
        this.#queuedBytes += frame.payload.length;
      });
    } catch (error) {
      const failure = BuildError.from(error);
      this.fail(failure);
      this.#options.onError(failure);
      return;
    }
    if (this.#queuedBytes > bufferBytes) this.#stream.pause();
    this.#wake?.();
  }

  #end(): void {
    if (!this.#over && !this.#decoder.idle) {
      const failure = new BuildError(Code.Internal, "grpc: unexpected EOF inside a message");
      this.fail(failure);
      this.#options.onError(failure);
      return;
    }
    this.#options.onEnd();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const frame = this.#queue[this.#head];
      if (frame !== undefined) {
        this.#head++;
        if (this.#head === this.#queue.length) this.#clear();
        yield frame.compressed ? await this.#decompress(frame.payload) : frame.payload;
        // Counted only now: the consumer asks for the next one when it is done with this one.
        this.#queuedBytes -= frame.payload.length;
        if (this.#queuedBytes <= bufferBytes && this.#stream.isPaused()) this.#stream.resume();
        continue;
      }
      if (this.#over) {
        if (this.#error !== undefined) throw this.#error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  #clear(): void {
    this.#queue = [];
    this.#head = 0;
  }

  async #decompress(payload: Uint8Array): Promise<Uint8Array> {
    const encoding = this.#options.encoding();
    if (encoding !== "gzip") {
      throw encoding === "identity" || encoding === ""
        ? new BuildError(Code.Internal, "grpc: compressed flag set with identity or empty encoding")
        : new BuildError(
            Code.Unimplemented,
            `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
          );
    }
    try {
      return await gunzipAsync(payload, { maxOutputLength: this.#options.maxMessageBytes });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
        throw new BuildError(
          Code.ResourceExhausted,
          `grpc: received message after decompression larger than max ${this.#options.maxMessageBytes}`,
        );
      }
      throw new BuildError(Code.Internal, "grpc: failed to decompress the received message", { cause: error });
    }
  }
}
