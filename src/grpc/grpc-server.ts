import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Logger } from "../core/seams/logger.ts";
import { HeaderBlockJoiner, maxFrameBytes } from "./header-block-joiner.ts";
import { maxMessageBytes, sessionOptions, windowBytes } from "./http2-limits.ts";
import { Http2ServerCall, type Peer, type ServerCall, type ServerHandler } from "./server-call.ts";
import { statusTrailers } from "./status.ts";
import { wholeDuplex } from "./whole-duplex.ts";

export interface GrpcServerOptions {
  readonly logger: Logger;
  /** Longest message accepted; default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Pings a connection this often and drops it when no answer comes before the next; 0 = never; default 30 s. */
  readonly keepAliveIntervalMs?: number;
  /** Runs around every handler; default: just the handler. */
  readonly intercept?: (call: ServerCall, handler: ServerHandler) => Promise<void>;
}

/**
 * A gRPC server over node:http2. It owns no sockets: `serveDuplex` takes a connected byte stream from a listener (see
 * listen.ts) or from inside another call, so the same class serves the front door and a client's session services.
 */
export class GrpcServer implements AsyncDisposable {
  readonly #logger: Logger;
  readonly #maxMessageBytes: number;
  readonly #keepAliveIntervalMs: number;
  readonly #intercept: (call: ServerCall, handler: ServerHandler) => Promise<void>;
  readonly #handlers = new Map<string, ServerHandler>();
  readonly #sessions = new Map<ServerHttp2Session, Duplex>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #closing = false;

  constructor(options: GrpcServerOptions) {
    this.#logger = options.logger;
    this.#maxMessageBytes = options.maxMessageBytes ?? maxMessageBytes;
    this.#keepAliveIntervalMs = options.keepAliveIntervalMs ?? 30_000;
    this.#intercept = options.intercept ?? ((call, handler) => handler(call));
  }

  /** Serves a method, `/package.Service/Method`. A later handler of the same method replaces the earlier. */
  handle(method: string, handler: ServerHandler): void {
    this.#handlers.set(method, handler);
  }

  /** Methods served, `/package.Service/Method`. */
  get methods(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** Calls whose handler has not finished. */
  get activeCalls(): number {
    return this.#running.size;
  }

  /** Aborts once the server has been closed: for what services keep going on its behalf. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  /** Serves one connection and owns it from here on. @returns resolves when the connection has closed; never rejects */
  serveDuplex(duplex: Duplex, options: { readonly peer?: Peer } = {}): Promise<void> {
    const peer = options.peer ?? peerOf(duplex);
    if (this.#closing) {
      duplex.destroy();
      return Promise.resolve();
    }
    const whole = wholeDuplex(duplex, { joiner: new HeaderBlockJoiner() });
    const settings = { ...sessionOptions.settings, ...(whole === duplex ? {} : { maxFrameSize: maxFrameBytes }) };
    const session = http2.performServerHandshake(whole, { ...sessionOptions, settings });
    this.#sessions.set(session, whole);
    session.on("error", (error) =>
      this.#logger.debug("connection failed", { peer: peer.address, error: String(error) }),
    );
    session.once("connect", () => {
      if (!session.destroyed) session.setLocalWindowSize(windowBytes);
    });
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) =>
      this.#accept(stream, headers, raw, peer),
    );
    const stopPings = this.#keepAlive(session, whole, peer);
    return new Promise((resolve) => {
      session.once("close", () => {
        stopPings();
        this.#sessions.delete(session);
        whole.destroy();
        resolve();
      });
    });
  }

  /**
   * Takes no new calls (GOAWAY on every connection) and waits for running ones.
   * @param graceMs what still runs then is cancelled; handlers must heed their signal, for they are waited for
   */
  async close(graceMs = 0): Promise<void> {
    this.#closing = true;
    const closed = [...this.#sessions.keys()].map(
      (session) => new Promise<void>((resolve) => (session.destroyed ? resolve() : session.once("close", resolve))),
    );
    for (const session of this.#sessions.keys()) session.close();
    if (graceMs > 0 && this.#sessions.size > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        Promise.all(closed),
        new Promise((resolve) => {
          timer = setTimeout(resolve, graceMs);
        }),
      ]);
      clearTimeout(timer);
    }
    // Not `session.destroy()`: that waits for a last write, which a stuck peer never takes.
    for (const whole of this.#sessions.values()) whole.destroy();
    await Promise.all(closed);
    await Promise.all(this.#running);
    this.#stop.abort(new BuildError(Code.Unavailable, "the server has been closed"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[], peer: Peer): void {
    if (headers[":method"] !== "POST" || !String(headers["content-type"] ?? "").startsWith("application/grpc")) {
      stream.on("error", () => {});
      stream.respond({ ":status": headers[":method"] === "POST" ? 415 : 405 }, { endStream: true });
      return;
    }
    let call: Http2ServerCall;
    try {
      call = new Http2ServerCall(stream, headers, raw, { peer, maxMessageBytes: this.#maxMessageBytes });
    } catch (error) {
      stream.on("error", () => {});
      const trailers = statusTrailers(BuildError.from(error));
      stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
      return;
    }
    const handler = this.#handlers.get(call.method);
    if (handler === undefined) {
      call.end(this.#unknownMethod(call.method));
      return;
    }
    const run = this.#run(call, handler);
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  async #run(call: Http2ServerCall, handler: ServerHandler): Promise<void> {
    try {
      await this.#intercept(call, (intercepted) => this.#handle(intercepted, handler));
      call.end();
    } catch (thrown) {
      call.end(BuildError.from(thrown));
    }
  }

  async #handle(call: ServerCall, handler: ServerHandler): Promise<void> {
    try {
      await handler(call);
    } catch (error) {
      if (!call.signal.aborted) {
        const { code, message } = BuildError.from(error);
        this.#logger.debug("call failed", { method: call.method, code, error: message });
      }
      throw error;
    }
  }

  /** Wording of grpc-go, which BuildKit's clients look for in places. */
  #unknownMethod(path: string): BuildError {
    const [, service = "", method = ""] = path.split("/");
    const known = [...this.#handlers.keys()].some((name) => name.startsWith(`/${service}/`));
    return new BuildError(
      Code.Unimplemented,
      known ? `unknown method ${method} for service ${service}` : `unknown service ${service}`,
    );
  }

  #keepAlive(session: ServerHttp2Session, whole: Duplex, peer: Peer): () => void {
    if (this.#keepAliveIntervalMs <= 0) return () => {};
    let answered = true;
    const timer = setInterval(() => {
      if (session.destroyed) return;
      if (!answered) {
        this.#logger.info("connection does not answer pings", { peer: peer.address });
        whole.destroy();
        return;
      }
      answered = false;
      session.ping(() => {
        answered = true;
      });
    }, this.#keepAliveIntervalMs);
    timer.unref();
    return () => clearInterval(timer);
  }
}

function peerOf(duplex: Duplex): Peer {
  const socket = duplex as { readonly remoteAddress?: string; readonly remotePort?: number };
  const address = socket.remoteAddress === undefined ? "local" : `${socket.remoteAddress}:${socket.remotePort ?? 0}`;
  if (duplex instanceof TLSSocket && duplex.authorized) {
    const name = duplex.getPeerCertificate().subject?.CN;
    if (name !== undefined) return { address, certificateName: String(name) };
  }
  return { address };
}
