import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** RFC 9113, 3.4. */
const prefaceBytes = 24;
/** RFC 9113, 4.1. */
const headBytes = 9;
const headersType = 0x1;
const continuationType = 0x9;
const endHeaders = 0x4;
const padded = 0x8;

/** The longest frame there can be (RFC 9113, 6.5.2): a server that joins header blocks has to take it. */
export const maxFrameBytes = 2 ** 24 - 1;

/** Frames of one block: a longest one in frames of the usual 16 KiB, and four times as many. */
const maxFrames = 4096;

/** A frame of which the payload is collected. */
interface Block {
  readonly flags: number;
  readonly stream: number;
  readonly parts: Uint8Array[];
  size: number;
  frames: number;
  last: boolean;
}

/**
 * What a client sends over HTTP/2, with HEADERS and the CONTINUATIONs after it as one frame. nghttp2 takes no more than eight
 * CONTINUATIONs, 144 KiB in all, and ends the connection at the ninth; the patterns of an ignore file, which travel in headers,
 * may be more.
 */
export class HeaderBlockJoiner {
  #head: Uint8Array = new Uint8Array(0);
  /** Bytes to pass on, or to collect, before the next frame. */
  #left = prefaceBytes;
  #block: Block | undefined;

  /** @throws BuildError ResourceExhausted for headers longer than a frame, or cut into too many */
  push(chunk: Uint8Array): Uint8Array[] {
    const passed: Uint8Array[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        const head = chunk.subarray(at, at + headBytes - this.#head.length);
        at += head.length;
        this.#head = Buffer.concat([this.#head, head]);
        if (this.#head.length === headBytes) this.#startFrame(passed);
        continue;
      }
      const payload = chunk.subarray(at, at + this.#left);
      at += payload.length;
      this.#left -= payload.length;
      if (this.#block === undefined) passed.push(payload);
      else this.#collect(this.#block, payload, passed);
    }
    return passed;
  }

  #startFrame(passed: Uint8Array[]): void {
    const head = Buffer.from(this.#head);
    this.#head = new Uint8Array(0);
    this.#left = head.readUIntBE(0, 3);
    const [type = 0, flags = 0] = head.subarray(3);
    const stream = head.readUInt32BE(5);
    const last = (flags & endHeaders) !== 0;
    if (this.#block !== undefined && type === continuationType && stream === this.#block.stream) {
      this.#block.last = last;
      this.#block.frames++;
    } else if (this.#block === undefined && type === headersType && !last && (flags & padded) === 0) {
      this.#block = { flags, stream, parts: [], size: 0, frames: 1, last };
    } else {
      // A block that another frame breaks off is an error, which is for the receiver to find.
      if (this.#block !== undefined) passed.push(joined(this.#block));
      this.#block = undefined;
      passed.push(head);
      return;
    }
    if (this.#left === 0) this.#collect(this.#block, new Uint8Array(0), passed);
  }

  #collect(block: Block, payload: Uint8Array, passed: Uint8Array[]): void {
    block.size += payload.length;
    if (block.size > maxFrameBytes || block.frames > maxFrames) {
      const message = `headers are longer than ${maxFrameBytes} bytes or ${maxFrames} frames`;
      throw new BuildError(Code.ResourceExhausted, message);
    }
    // A copy: the chunk it is cut from may be much larger.
    block.parts.push(Buffer.from(payload));
    if (this.#left > 0 || !block.last) return;
    passed.push(joined(block));
    this.#block = undefined;
  }
}

function joined({ flags, stream, parts, size, last }: Block): Uint8Array {
  const head = Buffer.alloc(headBytes);
  head.writeUIntBE(size, 0, 3);
  head[3] = headersType;
  head[4] = last ? flags | endHeaders : flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, ...parts]);
}
