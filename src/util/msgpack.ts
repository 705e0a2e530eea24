import { Packr } from "msgpackr";

// Structured records would make frames depend on earlier frames.
const packr = new Packr({ useRecords: false, moreTypes: false });

/** msgpack of plain objects, arrays, strings, numbers, bigint and Uint8Array. */
export function encode(value: unknown): Uint8Array {
  // Packr reuses its buffer; a copy is what may be kept by the bus.
  return Uint8Array.prototype.slice.call(packr.pack(value));
}

export function decode<T>(data: Uint8Array): T {
  return packr.unpack(data) as T;
}
