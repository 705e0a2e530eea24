import type { MessageBatch } from "./message-batch.ts";

const batchBytes = 1 << 20;

/** Messages on their way to a thread, copied into memory that both sides see. */
export class SharedBatch {
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #lengths: number[] = [];
  #at = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#bytes = new Uint8Array(buffer);
  }

  get buffer(): SharedArrayBuffer {
    return this.#bytes.buffer;
  }

  /** What the thread gets; the memory is its own until it has answered. */
  get content(): MessageBatch<SharedArrayBuffer> {
    return { buffer: this.buffer, lengths: this.#lengths };
  }

  fits(message: Uint8Array): boolean {
    return this.#at + message.length <= this.#bytes.length;
  }

  /** @param message one that fits */
  add(message: Uint8Array): void {
    this.#bytes.set(message, this.#at);
    this.#at += message.length;
    this.#lengths.push(message.length);
  }
}

/** The memory of the batches of one transfer, used again and again: a fresh buffer for each megabyte is work for the collector. */
export class BatchBuffers {
  readonly #free: SharedArrayBuffer[] = [];

  /** An empty batch with room for a message of this length at least. */
  take(messageBytes: number): SharedBatch {
    if (messageBytes > batchBytes) return new SharedBatch(new SharedArrayBuffer(messageBytes));
    return new SharedBatch(this.#free.pop() ?? new SharedArrayBuffer(batchBytes));
  }

  giveBack({ buffer }: SharedBatch): void {
    if (buffer.byteLength === batchBytes) this.#free.push(buffer);
  }
}
