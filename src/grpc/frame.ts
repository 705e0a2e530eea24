import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** Length of the prefix of each message: one byte for "compressed", four for the length. */
export const framePrefixBytes = 5;

/** One gRPC message as bytes on the wire, never compressed. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(framePrefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, framePrefixBytes);
  return frame;
}

export interface Frame {
  readonly compressed: boolean;
  readonly payload: Uint8Array;
}

/** Cuts a byte stream into gRPC messages. Chunks may be cut anywhere; payloads that lie in one chunk are not copied. */
export class FrameDecoder {
  readonly #maxMessageBytes: number;
  readonly #prefix = Buffer.alloc(framePrefixBytes);
  #prefixLength = 0;
  #payload: Buffer | undefined;
  #payloadLength = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True between messages. */
  get idle(): boolean {
    return this.#prefixLength === 0;
  }

  /** @throws BuildError ResourceExhausted for a message over the limit, Internal for a bad prefix */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixLength < framePrefixBytes) {
        const take = Math.min(framePrefixBytes - this.#prefixLength, chunk.length - at);
        this.#prefix.set(chunk.subarray(at, at + take), this.#prefixLength);
        this.#prefixLength += take;
        at += take;
        if (this.#prefixLength < framePrefixBytes) return;
        this.#checkPrefix();
        if (this.#size() === 0) this.#emit(new Uint8Array(0), onFrame);
        continue;
      }
      const size = this.#size();
      if (this.#payload === undefined) {
        if (chunk.length - at >= size) {
          this.#emit(chunk.subarray(at, at + size), onFrame);
          at += size;
          continue;
        }
        this.#payload = Buffer.allocUnsafe(size);
        this.#payloadLength = 0;
      }
      const take = Math.min(size - this.#payloadLength, chunk.length - at);
      this.#payload.set(chunk.subarray(at, at + take), this.#payloadLength);
      this.#payloadLength += take;
      at += take;
      if (this.#payloadLength === size) this.#emit(this.#payload, onFrame);
    }
  }

  #size(): number {
    return this.#prefix.readUInt32BE(1);
  }

  #checkPrefix(): void {
    if ((this.#prefix[0] ?? 0) > 1) {
      throw new BuildError(Code.Internal, `grpc: received unexpected payload format ${this.#prefix[0]}`);
    }
    const size = this.#size();
    if (size > this.#maxMessageBytes) {
      throw new BuildError(
        Code.ResourceExhausted,
        `grpc: received message larger than max (${size} vs. ${this.#maxMessageBytes})`,
      );
    }
  }

  #emit(payload: Uint8Array, onFrame: (frame: Frame) => void): void {
    const compressed = this.#prefix[0] === 1;
    this.#prefixLength = 0;
    this.#payload = undefined;
    onFrame({ compressed, payload });
  }
}
