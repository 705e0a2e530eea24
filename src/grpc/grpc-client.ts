import http2, { type ClientHttp2Session } from "node:http2";
import net from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCallOptions } from "../core/seams/session-caller.ts";
import { withSignal } from "../util/abort.ts";
import { ClientCall } from "./client-call.ts";
import { decodeMessage } from "./handlers.ts";
import { maxMessageBytes, sessionOptions, windowBytes } from "./http2-limits.ts";
import type { MessageCodec } from "./message-codec.ts";
import { type Metadata, metadataToHeaders } from "./metadata.ts";
import { formatTimeout } from "./timeout.ts";
import { wholeDuplex } from "./whole-duplex.ts";

export interface GrpcCallOptions extends SessionCallOptions {
  /** Sent as `grpc-timeout` and kept on our side as well. */
  readonly timeoutMs?: number;
}

export interface GrpcClientOptions {
  /** `:authority`; default `localhost`. */
  readonly authority?: string;
  readonly scheme?: "http" | "https";
  readonly userAgent?: string;
  /** Longest message accepted; default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Sent with every call, e.g. `traceparent`. */
  readonly metadata?: Metadata;
}

/** A gRPC client over one connection, which it owns. It never reconnects: whoever made it decides what a lost peer means. */
export class GrpcClient implements AsyncDisposable {
  /** Resolves at the peer's first SETTINGS; rejects when the connection fails before. */
  readonly ready: Promise<void>;
  /** Resolves when the connection has gone. */
  readonly closed: Promise<void>;
  readonly #session: ClientHttp2Session;
  readonly #duplex: Duplex;
  readonly #options: GrpcClientOptions;
  #error: BuildError | undefined;

  /** @param duplex connected byte stream whose other end speaks HTTP/2 as a server */
  constructor(duplex: Duplex, options: GrpcClientOptions = {}) {
    this.#options = options;
    this.#duplex = wholeDuplex(duplex);
    // Before node's own listeners, so that calls which end with the connection know why.
    this.#duplex.once("error", (error) => {
      this.#error ??= lost(error.message, error);
    });
    this.#duplex.once("close", () => {
      this.#error ??= lost("the connection was closed");
    });
    const session = http2.connect(`http://${options.authority ?? "localhost"}`, {
      ...sessionOptions,
      createConnection: () => this.#duplex,
    });
    this.#session = session;
    session.once("connect", () => {
      if (!session.destroyed) session.setLocalWindowSize(windowBytes);
    });
    this.closed = new Promise((resolve) => {
      session.once("close", () => {
        this.#error ??= lost("the connection was closed");
        this.#duplex.destroy();
        resolve();
      });
    });
    this.ready = new Promise((resolve, reject) => {
      session.once("remoteSettings", () => resolve());
      session.once("close", () => reject(this.#error));
    });
    this.ready.catch(() => {});
    session.on("error", (error: Error) => {
      this.#error ??= lost(error.message, error);
    });
    session.on("goaway", (code: number) => {
      if (code !== http2.constants.NGHTTP2_NO_ERROR) this.#error ??= lost(`the peer closed the connection: ${code}`);
    });
  }

  /** False once the connection has gone or the peer has asked for no more calls. */
  get usable(): boolean {
    return !this.#session.destroyed && !this.#session.closed && !this.#duplex.destroyed;
  }

  /**
   * Opens a call of any shape.
   * @throws BuildError Unavailable when the connection is gone or draining
   */
  open(method: string, options: GrpcCallOptions = {}): ClientCall {
    if (options.signal?.aborted) throw BuildError.from(options.signal.reason);
    if (!this.usable) {
      throw this.#error ?? lost("the connection is closing");
    }
    const stream = this.#session.request({
      ":method": "POST",
      ":path": method,
      ":scheme": this.#options.scheme ?? "http",
      "content-type": "application/grpc",
      "user-agent": this.#options.userAgent ?? "buildfleet",
      te: "trailers",
      "grpc-accept-encoding": "gzip,identity",
      ...(options.timeoutMs === undefined ? {} : { "grpc-timeout": formatTimeout(options.timeoutMs) }),
      ...metadataToHeaders({ ...this.#options.metadata, ...options.metadata }),
    });
    return new ClientCall(stream, {
      maxMessageBytes: this.#options.maxMessageBytes ?? maxMessageBytes,
      connectionError: () => {
        // A broken connection resets its calls before it says why.
        if (this.#session.destroyed) this.#error ??= lost("the connection was closed");
        return this.#error;
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
  }

  /** One message each way. @throws BuildError of the peer */
  async unary<Req, Res>(
    method: string,
    request: MessageCodec<Req>,
    response: MessageCodec<Res>,
    message: Req,
    options: GrpcCallOptions = {},
  ): Promise<Res> {
    await using call = this.open(method, options);
    // A refused call ends the sending side first; the reason comes with the answer.
    call.send(request.encode(message).finish()).catch(() => {});
    call.closeSend();
    let found: Res | undefined;
    for await (const bytes of call.messages) found ??= decodeMessage(response, bytes);
    if (found === undefined) throw new BuildError(Code.Internal, "grpc: no response message");
    return found;
  }

  /** Round trip of an HTTP/2 ping. @throws BuildError Unavailable */
  async ping(signal?: AbortSignal): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      if (this.#session.destroyed) reject(this.#error ?? lost("the connection was closed"));
      else this.#session.ping((error) => (error === null ? resolve() : reject(lost(error.message, error))));
    });
    await withSignal(answered, signal);
  }

  /** Ends the connection now; open calls fail with `reason`. */
  destroy(reason?: BuildError): void {
    if (reason !== undefined) this.#error ??= reason;
    // Not `session.destroy()`: that waits for a last write, which a stuck peer never takes.
    this.#duplex.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    await this.closed;
  }
}

export interface ConnectOptions extends GrpcClientOptions {
  /** Files' contents, PEM. */
  readonly tls?: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
    readonly serverName?: string;
  };
  readonly signal?: AbortSignal;
}

/**
 * Dials `unix:///path` or `tcp://host:port`, with TLS where `tls` is given.
 * @throws BuildError Unavailable
 */
export async function connectGrpc(address: string, options: ConnectOptions = {}): Promise<GrpcClient> {
  const url = new URL(address);
  let socket: net.Socket;
  let authority = "localhost";
  if (url.protocol === "unix:") {
    socket = net.connect(url.host + decodeURIComponent(url.pathname));
  } else if (url.protocol === "tcp:") {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = Number(url.port || 1234);
    authority = url.host;
    socket =
      options.tls === undefined
        ? net.connect({ host, port, noDelay: true })
        : tls.connect({
            host,
            port,
            ALPNProtocols: ["h2"],
            servername: options.tls.serverName ?? (net.isIP(host) === 0 ? host : ""),
            ...(options.tls.ca === undefined ? {} : { ca: options.tls.ca }),
            ...(options.tls.cert === undefined ? {} : { cert: options.tls.cert }),
            ...(options.tls.key === undefined ? {} : { key: options.tls.key }),
          });
  } else {
    throw new BuildError(Code.InvalidArgument, `unsupported address ${JSON.stringify(address)}`);
  }
  const connected = new Promise<void>((resolve, reject) => {
    socket.once(socket instanceof tls.TLSSocket ? "secureConnect" : "connect", resolve);
    socket.once("error", (error) => reject(lost(`cannot connect to ${address}: ${error.message}`, error)));
  });
  try {
    await withSignal(connected, options.signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const scheme = options.tls === undefined ? "http" : "https";
  return new GrpcClient(socket, { authority, scheme, ...options });
}

function lost(message: string, cause?: unknown): BuildError {
  return new BuildError(Code.Unavailable, message, { infrastructure: true, ...(cause === undefined ? {} : { cause }) });
}
