import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionStream } from "../core/seams/session-caller.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import { type Metadata, metadataFromRaw } from "./metadata.ts";
import { errorFromTrailers } from "./status.ts";

export interface ClientCallOptions {
  readonly maxMessageBytes: number;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Why the connection ended, when the call ends with it. */
  readonly connectionError: () => BuildError | undefined;
}

/** An open call of GrpcClient. */
export class ClientCall implements SessionStream {
  readonly messages: AsyncIterable<Uint8Array>;
  /** Response metadata; rejects when the call fails before it came. */
  readonly headers: Promise<Metadata>;
  readonly #stream: ClientHttp2Stream;
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  readonly #options: ClientCallOptions;
  #encoding = "identity";
  #outcome: { readonly error: BuildError | undefined } | undefined;
  #resolveHeaders: (metadata: Metadata) => void = () => {};
  #rejectHeaders: (error: BuildError) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #settled = false;

  constructor(stream: ClientHttp2Stream, options: ClientCallOptions) {
    this.#stream = stream;
    this.#options = options;
    this.headers = new Promise((resolve, reject) => {
      this.#resolveHeaders = resolve;
      this.#rejectHeaders = reject;
    });
    this.headers.catch(() => {});
    this.#writer = new MessageWriter(stream);
    this.#reader = new MessageReader(stream, {
      maxMessageBytes: options.maxMessageBytes,
      encoding: () => this.#encoding,
      onEnd: () => this.#ended(),
      onError: (error) => this.#abandon(error),
    });
    this.messages = this.#reader;
    stream.on("response", (headers: IncomingHttpHeaders, _flags: number, raw: string[]) =>
      this.#onResponse(headers, raw),
    );
    stream.on("trailers", (trailers: IncomingHttpHeaders) => this.#onTrailers(trailers));
    stream.on("error", () => {});
    stream.on("close", () => this.#closed());
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (options.timeoutMs !== undefined) {
      this.#timer = setTimeout(
        () => this.#abandon(new BuildError(Code.DeadlineExceeded, "context deadline exceeded")),
        options.timeoutMs,
      );
    }
  }

  async send(message: Uint8Array): Promise<void> {
    await this.#writer.send(message);
  }

  closeSend(): void {
    if (!this.#stream.writableEnded && !this.#stream.destroyed) this.#stream.end();
  }

  cancel(reason?: Error): void {
    this.#abandon(reason === undefined ? new BuildError(Code.Canceled, "context canceled") : BuildError.from(reason));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  readonly #onAbort = (): void => this.#abandon(BuildError.from(this.#options.signal?.reason));

  /** Ends the call from our side: the peer gets RST_STREAM(CANCEL). */
  #abandon(error: BuildError): void {
    if (this.#settled) return;
    this.#settle(error, true);
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #onResponse(headers: IncomingHttpHeaders, raw: readonly string[]): void {
    const status = Number(headers[":status"]);
    const type = String(headers["content-type"] ?? "");
    if (status !== 200 || !type.startsWith("application/grpc")) {
      this.#abandon(errorFromHttpStatus(status, type));
      return;
    }
    this.#encoding = String(headers["grpc-encoding"] ?? "identity");
    if (headers["grpc-status"] !== undefined) this.#onTrailers(headers);
    this.#resolveHeaders(metadataFromRaw(raw));
  }

  #onTrailers(trailers: IncomingHttpHeaders): void {
    this.#outcome = {
      error: errorFromTrailers((name) => {
        const value = trailers[name];
        return Array.isArray(value) ? value[0] : value;
      }),
    };
  }

  #ended(): void {
    if (this.#outcome !== undefined) this.#settle(this.#outcome.error, false);
  }

  #closed(): void {
    const reset = this.#stream.rstCode ?? 0;
    const error =
      this.#outcome !== undefined
        ? this.#outcome.error
        : (this.#options.connectionError() ?? errorFromReset(reset, this.#stream.errored));
    // Messages that came before the status are still handed out.
    this.#settle(error, this.#outcome === undefined);
  }

  #settle(error: BuildError | undefined, drop: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#rejectHeaders(error ?? new BuildError(Code.Internal, "the call ended without headers"));
    this.#writer.fail(error ?? new BuildError(Code.Canceled, "the call has ended"));
    if (drop && error !== undefined) this.#reader.fail(error);
    else this.#reader.finish(error);
    // The server may answer before we are done sending; nothing we could still send matters then.
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }
}

/** grpc/grpc, doc/http-grpc-status-mapping.md */
function errorFromHttpStatus(status: number, contentType: string): BuildError {
  const codes: Record<number, Code> = {
    400: Code.Internal,
    401: Code.Unauthenticated,
    403: Code.PermissionDenied,
    404: Code.Unimplemented,
    429: Code.Unavailable,
    502: Code.Unavailable,
    503: Code.Unavailable,
    504: Code.Unavailable,
  };
  const code = codes[status] ?? Code.Unknown;
  const message = `unexpected HTTP status ${status} with content-type ${JSON.stringify(contentType)}`;
  // It comes from a proxy on the way.
  return new BuildError(code, message, { infrastructure: code === Code.Unavailable });
}

/** grpc/grpc, doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping: Errors" */
function errorFromReset(reset: number, cause: Error | null): BuildError {
  const options = cause === null ? {} : { cause };
  switch (reset) {
    case constants.NGHTTP2_CANCEL:
      return new BuildError(Code.Canceled, "stream terminated by RST_STREAM with error code: CANCEL", options);
    case constants.NGHTTP2_REFUSED_STREAM:
      return new BuildError(Code.Unavailable, "stream refused by the server", { ...options, infrastructure: true });
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return new BuildError(Code.ResourceExhausted, "stream refused: too much at once", options);
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return new BuildError(Code.PermissionDenied, "transport is not secure enough for the server", options);
    case constants.NGHTTP2_NO_ERROR:
      return new BuildError(Code.Internal, "server closed the stream without sending trailers", options);
    default:
      return new BuildError(Code.Internal, `stream terminated by RST_STREAM with error code: ${reset}`, options);
  }
}
