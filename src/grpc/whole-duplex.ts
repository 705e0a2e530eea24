import net from "node:net";
import { Duplex } from "node:stream";
import { BuildError } from "../core/errors/build-error.ts";
import type { HeaderBlockJoiner } from "./header-block-joiner.ts";

/**
 * A byte stream as node:http2 can bear it. Over anything but a real socket two things trip assertions inside node that take
 * the whole process down:
 * - It answers the end of the peer's side with a shutdown of its own, and then a frame is written while that is under way
 *   (lib/internal/js_stream_socket.js, `doWrite`). Half a connection is no use to HTTP/2, so here the end of one side is the
 *   end of both, and no shutdown happens.
 * - Bytes arrive from within a write, as in-process pipes deliver them (src/node_http2.cc, `OnDataChunkReceived`). So writes
 *   leave in a turn of their own.
 */
export function wholeDuplex(duplex: Duplex, options: WholeDuplexOptions = {}): Duplex {
  return duplex instanceof net.Socket ? duplex : new WholeDuplex(duplex, options);
}

export interface WholeDuplexOptions {
  /** What is read goes through this; default: as it is. */
  readonly joiner?: HeaderBlockJoiner;
}

class WholeDuplex extends Duplex {
  readonly #inner: Duplex;

  constructor(inner: Duplex, { joiner }: WholeDuplexOptions) {
    super({ readableHighWaterMark: 256 << 10, writableHighWaterMark: 256 << 10 });
    this.#inner = inner;
    inner.on("data", (chunk: Uint8Array) => {
      try {
        const data = joiner === undefined ? chunk : Buffer.concat(joiner.push(chunk));
        if (data.length > 0 && !this.push(data)) inner.pause();
      } catch (error) {
        this.destroy(BuildError.from(error));
      }
    });
    inner.on("error", (error) => this.destroy(error));
    inner.on("end", () => this.#endOnceRead());
    inner.on("close", () => this.#endOnceRead());
    // An owner that destroys this stream gets its errors from the session.
    this.on("error", () => {});
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    process.nextTick(() => this.#inner.write(chunk, done));
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map((item) => item.chunk)), "buffer", done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner.destroy();
    done(error);
  }

  /** What the peer said last is still heard. */
  #endOnceRead(): void {
    if (this.destroyed) return;
    if (this.readableLength === 0) this.destroy();
    else setImmediate(() => this.#endOnceRead());
  }
}
