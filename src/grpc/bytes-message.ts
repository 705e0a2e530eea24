import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** `BytesMessage{data=1 bytes}`: the whole cost of a tunnel, so done by hand and without copies on the way in. */
export function encodeBytesMessage(data: Uint8Array): Uint8Array {
  const length = data.length;
  if (length === 0) return new Uint8Array(0);
  let size = 1;
  for (let rest = length; rest > 127; rest >>>= 7) size++;
  const out = Buffer.allocUnsafe(1 + size + length);
  out[0] = 0x0a;
  let at = 1;
  let rest = length;
  for (; rest > 127; rest >>>= 7) out[at++] = (rest & 127) | 128;
  out[at++] = rest;
  out.set(data, at);
  return out;
}

/** The data as a view of the message; unknown fields are skipped. @throws BuildError Internal */
export function decodeBytesMessage(message: Uint8Array): Uint8Array {
  let data = new Uint8Array(0);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw malformed();
      if (shift < 49) value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw malformed();
  };
  while (at < message.length) {
    const tag = varint();
    const wireType = tag & 7;
    if (wireType === 2) {
      const length = varint();
      if (at + length > message.length) throw malformed();
      if (tag >>> 3 === 1) data = message.subarray(at, at + length) as Uint8Array<ArrayBuffer>;
      at += length;
    } else if (wireType === 0) {
      varint();
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
      if (at > message.length) throw malformed();
    } else {
      throw malformed();
    }
  }
  return data;
}

function malformed(): BuildError {
  return new BuildError(Code.Internal, "proto: cannot parse invalid wire-format data");
}
