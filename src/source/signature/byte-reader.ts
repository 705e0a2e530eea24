import { sourceError } from "../source-identifier.ts";

/** Reads big-endian fields of keys and signatures. Every method throws a BuildError when the bytes end too early. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  bytes(count: number): Buffer {
    if (count > this.left) throw sourceError("unexpected EOF");
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  uint8(): number {
    return this.bytes(1).readUInt8();
  }

  uint16(): number {
    return this.bytes(2).readUInt16BE();
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE();
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  /** Of SSH (RFC 4251): a length of four bytes before it. */
  string(): Buffer {
    return this.bytes(this.uint32());
  }

  /** Number of OpenPGP (RFC 9580, 3.2): its length in bits before it. */
  mpi(): Buffer {
    return this.bytes((this.uint16() + 7) >> 3);
  }
}

/** A number as so many bytes: without leading zeros, or with more of them. */
export function padNumber(number: Uint8Array, size: number): Buffer {
  const first = number.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Buffer.alloc(0) : Buffer.from(number.subarray(first));
  if (digits.length > size) throw sourceError("number of a signature is too large");
  return Buffer.concat([Buffer.alloc(size - digits.length), digits]);
}
