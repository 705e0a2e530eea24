import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import { type Metadata, metadataFromRaw, metadataToHeaders, metadataValue, rawHeader } from "./metadata.ts";
import { statusTrailers } from "./status.ts";
import { parseTimeout } from "./timeout.ts";

/** Who is at the other end. */
export interface Peer {
  /** `127.0.0.1:4711`, or the listener's kind for sockets without an address. */
  readonly address: string;
  /** Common name of a verified client certificate. */
  readonly certificateName?: string;
}

/** One call as a handler sees it. The call ends when the handler's promise settles. */
export interface ServerCall {
  /** `/moby.buildkit.v1.Control/Solve` */
  readonly method: string;
  readonly metadata: Metadata;
  /** What the client sends. Ends at its half-close, throws when the call breaks. Iterate once. */
  readonly messages: AsyncIterable<Uint8Array>;
  /** Aborts with a BuildError when the client cancels or leaves, or at its deadline. */
  readonly signal: AbortSignal;
  /** W3C trace context of the call. */
  readonly traceparent: string | undefined;
  readonly peer: Peer;
  /** Resolves once there is room for more. @throws BuildError when the call has ended */
  send(message: Uint8Array): Promise<void>;
  /** Adds a response header; only before the headers have gone. */
  setHeader(name: string, ...values: string[]): void;
  /** Sends headers now instead of with the first message. */
  sendHeaders(): void;
}

export type ServerHandler = (call: ServerCall) => Promise<void>;

export interface Http2ServerCallOptions {
  readonly peer: Peer;
  readonly maxMessageBytes: number;
}

/** A call over an HTTP/2 stream; created and ended by GrpcServer. */
export class Http2ServerCall implements ServerCall {
  readonly method: string;
  readonly metadata: Metadata;
  readonly messages: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  readonly peer: Peer;
  readonly #stream: ServerHttp2Stream;
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  readonly #abort = new AbortController();
  readonly #responseHeaders: Record<string, string[]> = {};
  readonly #timeoutMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: readonly string[],
    options: Http2ServerCallOptions,
  ) {
    this.#stream = stream;
    this.method = String(headers[":path"] ?? "");
    this.metadata = metadataFromRaw(raw);
    this.peer = options.peer;
    this.signal = this.#abort.signal;
    const timeout = rawHeader(raw, "grpc-timeout");
    this.#timeoutMs = timeout === undefined ? undefined : parseTimeout(timeout);
    const encoding = rawHeader(raw, "grpc-encoding") ?? "identity";
    this.#reader = new MessageReader(stream, {
      maxMessageBytes: options.maxMessageBytes,
      encoding: () => encoding,
      onEnd: () => this.#reader.finish(),
      // The iterator throws it too; ending here spares handlers that do not read on.
      onError: (error) => this.end(error),
    });
    this.messages = this.#reader;
    this.#writer = new MessageWriter(stream);
    stream.on("error", () => {});
    stream.on("close", () => this.#closed());
    if (this.#timeoutMs !== undefined) this.#startTimer(this.#timeoutMs);
  }

  get traceparent(): string | undefined {
    return metadataValue(this.metadata, "traceparent");
  }

  setHeader(name: string, ...values: string[]): void {
    this.#responseHeaders[name.toLowerCase()] = values;
  }

  sendHeaders(): void {
    if (this.#stream.headersSent || this.#stream.destroyed || this.#stream.closed) return;
    this.#stream.respond(
      { ":status": 200, ...baseHeaders, ...metadataToHeaders(this.#responseHeaders) },
      { waitForTrailers: true },
    );
  }

  async send(message: Uint8Array): Promise<void> {
    if (this.#ended) throw new BuildError(Code.Canceled, "the call has ended");
    this.sendHeaders();
    await this.#writer.send(message);
  }

  /** Sends the status and releases the stream. The first call counts. @param error undefined for OK */
  end(error?: BuildError): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    const stream = this.#stream;
    this.#writer.fail(new BuildError(Code.Canceled, "the call has ended"));
    this.#reader.fail(new BuildError(Code.Canceled, "the call has ended"));
    if (!stream.destroyed && !stream.closed) {
      const trailers = statusTrailers(error);
      // A client that still sends is told to stop once it has the trailers, as grpc-go's server does.
      stream.resume();
      const release = () => {
        if (!stream.destroyed && !stream.closed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      };
      if (stream.headersSent) {
        stream.once("wantTrailers", () => {
          stream.sendTrailers(trailers);
          setImmediate(release);
        });
        stream.end();
      } else {
        const headers = metadataToHeaders(this.#responseHeaders);
        stream.respond({ ":status": 200, ...baseHeaders, ...headers, ...trailers }, { endStream: true });
        setImmediate(release);
      }
    }
    this.#abort.abort(new BuildError(Code.Canceled, "context canceled"));
  }

  #closed(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#ended = true;
    const error = new BuildError(Code.Canceled, "context canceled");
    this.#reader.fail(error);
    this.#writer.fail(error);
    this.#abort.abort(error);
  }

  #startTimer(ms: number): void {
    const deadline = performance.now() + ms;
    const arm = () => {
      // setTimeout takes at most 2^31-1 ms; a far deadline is approached in steps.
      const left = deadline - performance.now();
      if (left > 0) {
        this.#timer = setTimeout(arm, Math.min(left, 2 ** 31 - 1));
        this.#timer.unref();
        return;
      }
      const error = new BuildError(Code.DeadlineExceeded, "context deadline exceeded");
      this.#abort.abort(error);
      this.end(error);
    };
    arm();
  }
}

const baseHeaders = { "content-type": "application/grpc", "grpc-accept-encoding": "gzip,identity" };
