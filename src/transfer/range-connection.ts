import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { decompressed } from "./wire-compression.ts";

/** Read at once: small enough to be hashed while it is in the processor's cache, and to hold nothing up. */
const pieceBytes = 256 << 10;
/** Takes the head of an answer, and of its body what comes with it. */
const headBytes = 4096;
const longestHead = 64 << 10;
const encodedAsZstd = /\r\ncontent-encoding: *zstd\r\n/i;
const nothing = new Uint8Array();

export interface RangeRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Filled with the body, one after the other; together as long as it must be. */
  readonly into: readonly Uint8Array[];
  /** Called with each piece that has come; with nothing in it while the body comes compressed. */
  readonly onBytes: (piece: Uint8Array) => void;
}

/** An answer other than 200 or 206. */
export class HttpStatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`answered ${status}`);
    this.status = status;
  }
}

interface Running extends RangeRequest {
  readonly settle: (error?: unknown) => void;
  head: string;
  /** The body as it comes when it is compressed. */
  zstd?: Uint8Array;
  /** What is still to come, in what is left of `into`; undefined until the body has begun. */
  places: Uint8Array[] | undefined;
}

/**
 * A connection to a blob server, for bodies of known length: HTTP/1.1 (RFC 9112), one request at a time. The kernel copies a
 * body straight to its place, with no buffer, parser or stream between: a third of the CPU per byte that a general client takes.
 */
export class RangeConnection {
  readonly #url: URL;
  readonly #socket: Socket;
  readonly #ready: Promise<void>;
  readonly #scratch = Buffer.allocUnsafeSlow(headBytes);
  #running: Running | undefined;
  #answered = false;

  /** @param tls for `https:` */
  constructor(url: URL, tls: ConnectionOptions | undefined) {
    this.#url = url;
    const options = {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(url.port || (url.protocol === "https:" ? 443 : 80)),
      noDelay: true,
      onread: { buffer: () => this.#place(), callback: (length: number) => this.#received(length) },
    };
    this.#socket = tls === undefined ? connect(options) : connectTls({ ...tls, ...options });
    const ready = Promise.withResolvers<void>();
    this.#ready = ready.promise;
    this.#ready.catch(() => {});
    this.#socket.once(tls === undefined ? "connect" : "secureConnect", () => ready.resolve());
    const closed = (error: unknown) => {
      ready.reject(error);
      this.#running?.settle(error);
    };
    this.#socket.on("error", closed);
    this.#socket.once("close", () => closed(new Error("the peer closed the connection")));
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /** The peer has said something to the latest request. */
  get answered(): boolean {
    return this.#answered;
  }

  /**
   * Once the promise has settled `into` is not written to any more. A request that fails takes the connection with it.
   * @returns bytes of the body on the wire
   * @throws BuildError DataLoss when the body has another length; `HttpStatusError`; what the socket fails with; the signal's reason
   */
  async send(request: RangeRequest, connectTimeoutMs: number, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    this.#answered = false;
    this.#socket.ref();
    const onAbort = () => this.close(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(
      () => this.close(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    try {
      await this.#ready;
      clearTimeout(timer);
      const zstd = await new Promise<Uint8Array | undefined>((resolve, reject) => {
        const settle = (error?: unknown) => {
          const compressed = this.#running?.zstd;
          this.#running = undefined;
          if (error === undefined) resolve(compressed);
          else reject(error);
        };
        this.#running = { ...request, settle, head: "", places: undefined };
        const headers = Object.entries({ host: this.#url.host, ...request.headers });
        const lines = [`GET ${request.path} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)];
        this.#socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
      });
      this.#socket.unref();
      if (zstd === undefined) return lengthOf(request.into);
      await unpack(zstd, request);
      signal.throwIfAborted();
      return zstd.length;
    } catch (error) {
      this.close(error);
      signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  close(reason?: unknown): void {
    this.#socket.destroy(reason instanceof Error ? reason : undefined);
    this.#running?.settle(reason ?? new Error("the connection was closed"));
  }

  /** Where the next bytes go. */
  #place(): Uint8Array {
    return this.#running?.places?.[0]?.subarray(0, pieceBytes) ?? this.#scratch;
  }

  #received(length: number): boolean {
    const running = this.#running;
    this.#answered = true;
    if (running === undefined) this.close(new Error("the peer sends what was not asked for"));
    else if (running.places === undefined) this.#readHead(running, this.#scratch.subarray(0, length));
    else this.#note(running, length);
    return true;
  }

  #readHead(running: Running, bytes: Buffer): void {
    const before = running.head.length;
    running.head += bytes.toString("latin1");
    const end = running.head.indexOf("\r\n\r\n");
    if (end < 0) {
      if (running.head.length > longestHead) this.close(new Error("the head of its answer does not end"));
      return;
    }
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(running.head)?.[1]);
    if (status !== 200 && status !== 206) {
      this.close(new HttpStatusError(status));
      return;
    }
    const head = running.head.slice(0, end + 2);
    const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]);
    const body = bytes.subarray(end + 4 - before);
    const expected = lengthOf(running.into);
    const isZstd = encodedAsZstd.test(head) && length < expected;
    if ((length !== expected && !isZstd) || body.length > length) {
      this.close(otherLength(Number.isNaN(length) ? "an unknown number of" : `${length}`, expected));
      return;
    }
    if (isZstd) running.zstd = new Uint8Array(length);
    running.places = running.zstd === undefined ? [...running.into] : [running.zstd];
    for (let at = 0; at < body.length; ) {
      const part = body.subarray(at, at + this.#place().length);
      this.#place().set(part);
      this.#note(running, part.length);
      at += part.length;
    }
  }

  /** The next place has got so many bytes. */
  #note(running: Running, length: number): void {
    const [place, ...rest] = running.places ?? [];
    if (place === undefined) return;
    running.places = length < place.length ? [place.subarray(length), ...rest] : rest;
    running.onBytes(running.zstd === undefined ? place.subarray(0, length) : nothing);
    if (running.places.length === 0) running.settle();
  }
}

function lengthOf(places: readonly Uint8Array[]): number {
  return places.reduce((sum, place) => sum + place.length, 0);
}

async function unpack(zstd: Uint8Array, { into, onBytes }: RangeRequest): Promise<void> {
  const expected = lengthOf(into);
  const bytes = await decompressed(zstd, expected).catch((error: unknown) => {
    throw new BuildError(Code.DataLoss, "what came compressed cannot be read", { cause: error, infrastructure: true });
  });
  if (bytes.length !== expected) throw otherLength(`${bytes.length}`, expected);
  let at = 0;
  for (const place of into) {
    place.set(bytes.subarray(at, at + place.length));
    at += place.length;
    onBytes(place);
  }
}

function otherLength(actual: string, expected: number): BuildError {
  return new BuildError(Code.DataLoss, `got ${actual} bytes in place of ${expected}`, { infrastructure: true });
}
