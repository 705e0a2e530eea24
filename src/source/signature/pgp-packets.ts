import { sourceError } from "../source-identifier.ts";
import { ByteReader } from "./byte-reader.ts";

/** Types of packets (RFC 9580, 5). */
export const PacketTag = {
  signature: 2,
  secretKey: 5,
  publicKey: 6,
  secretSubkey: 7,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
} as const;

export interface PgpPacket {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** @throws BuildError when the bytes are no packets */
export function* readPackets(data: Uint8Array): Generator<PgpPacket> {
  const reader = new ByteReader(data);
  while (reader.left > 0) {
    const header = reader.uint8();
    if ((header & 0x80) === 0) throw sourceError("openpgp: invalid data: tag byte does not have MSB set");
    yield (header & 0x40) === 0
      ? { tag: (header >> 2) & 0x0f, body: oldBody(reader, header & 3) }
      : { tag: header & 0x3f, body: newBody(reader) };
  }
}

function oldBody(reader: ByteReader, lengthType: number): Uint8Array {
  switch (lengthType) {
    case 0:
      return reader.bytes(reader.uint8());
    case 1:
      return reader.bytes(reader.uint16());
    case 2:
      return reader.bytes(reader.uint32());
    default:
      return reader.rest();
  }
}

/** May come in parts. */
function newBody(reader: ByteReader): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const first = reader.uint8();
    if (first < 224 || first === 255) {
      parts.push(reader.bytes(longLength(reader, first)));
      return Buffer.concat(parts);
    }
    parts.push(reader.bytes(2 ** (first & 0x1f)));
  }
}

/** Length in one, two or five bytes, of which the first has been read; of packets and subpackets. */
export function longLength(reader: ByteReader, first: number): number {
  if (first < 192) return first;
  if (first < 255) return ((first - 192) << 8) + reader.uint8() + 192;
  return reader.uint32();
}
