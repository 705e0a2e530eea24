import { Duplex } from "node:stream";
import { BuildError } from "../core/errors/build-error.ts";
import { decodeBytesMessage, encodeBytesMessage } from "./bytes-message.ts";

/** The part of a call, on either side, that carries a byte tunnel. */
export interface BytesCall {
  readonly messages: AsyncIterable<Uint8Array>;
  send(message: Uint8Array): Promise<void>;
  /** On the client side: half-close, when our side has been ended. */
  closeSend?(): void;
  /** On the client side: gives the call up, when the stream has been destroyed. */
  cancel?(): void;
}

/**
 * A call of BytesMessages both ways as a byte stream (BuildKit session/grpchijack): `Control.Session`, SSH forwarding. Reads
 * only as fast as it is read from, so the window of the outer call holds the peer back.
 */
export class BytesDuplex extends Duplex {
  readonly #call: BytesCall;
  readonly #incoming: AsyncIterator<Uint8Array>;
  #reading = false;

  constructor(call: BytesCall) {
    super({ readableHighWaterMark: 256 << 10, writableHighWaterMark: 256 << 10 });
    this.#call = call;
    this.#incoming = call.messages[Symbol.asyncIterator]();
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    void this.#pump();
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const next = await this.#incoming.next();
        if (next.done === true) {
          this.push(null);
          return;
        }
        const data = decodeBytesMessage(next.value);
        if (data.length > 0 && !this.push(data)) return;
      }
    } catch (error) {
      this.destroy(BuildError.from(error));
    } finally {
      this.#reading = false;
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#call.send(encodeBytesMessage(chunk)).then(() => done(), done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: (error?: Error) => void): void {
    const joined = chunks.length === 1 ? chunks[0]?.chunk : Buffer.concat(chunks.map((item) => item.chunk));
    this._write(joined ?? new Uint8Array(0), "buffer", done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#call.closeSend?.();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#call.cancel?.();
    done(error);
  }
}
