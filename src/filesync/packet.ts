import type { BytePath, FileStat } from "../filesystem/index.ts";

/**
 * fsutil.Packet by hand: the generated codec decodes paths as UTF-8 text, which loses names that are not, and costs more
 * than all else when a tree has many small files. Field numbers: src/api/proto/fsutil.proto.
 */
export const PacketType = { Stat: 0, Request: 1, Data: 2, Fin: 3, Error: 4 } as const;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

export interface Packet {
  readonly type: number;
  /** Absent in the STAT that ends the list. */
  readonly stat: FileStat | undefined;
  readonly id: number;
  /** A view of the message, not a copy. */
  readonly data: Uint8Array;
}

const noData = new Uint8Array(0);

/** @throws RangeError on truncated or malformed bytes */
export function decodePacket(message: Uint8Array): Packet {
  const reader = new Reader(message);
  let type = 0;
  let stat: FileStat | undefined;
  let id = 0;
  let data: Uint8Array = noData;
  while (!reader.atEnd) {
    const tag = reader.number();
    switch (tag) {
      case 8:
        type = reader.number();
        break;
      case 18:
        stat = decodeStat(reader.bytes());
        break;
      case 24:
        id = reader.number();
        break;
      case 34:
        data = reader.bytes();
        break;
      default:
        reader.skip(tag & 7);
    }
  }
  return { type, stat, id, data };
}

export function decodeStat(bytes: Uint8Array): FileStat {
  const reader = new Reader(bytes);
  let path = "";
  let mode = 0;
  let uid = 0;
  let gid = 0;
  let size = 0;
  let modTime = 0n;
  let linkname = "";
  let devmajor = 0;
  let devminor = 0;
  let xattrs: Map<string, Uint8Array> | undefined;
  while (!reader.atEnd) {
    const tag = reader.number();
    switch (tag) {
      case 10:
        path = reader.byteString();
        break;
      case 16:
        mode = reader.number();
        break;
      case 24:
        uid = reader.number();
        break;
      case 32:
        gid = reader.number();
        break;
      case 40:
        size = reader.number();
        break;
      case 48:
        modTime = reader.int64();
        break;
      case 58:
        linkname = reader.byteString();
        break;
      case 64:
        devmajor = reader.number();
        break;
      case 72:
        devminor = reader.number();
        break;
      case 82: {
        const [name, value] = decodeXattr(reader.bytes());
        xattrs ??= new Map();
        xattrs.set(name, value);
        break;
      }
      default:
        reader.skip(tag & 7);
    }
  }
  const stat = { path, mode, uid, gid, size, modTime, linkname, devmajor, devminor };
  return xattrs === undefined ? stat : { ...stat, xattrs };
}

function decodeXattr(bytes: Uint8Array): readonly [string, Uint8Array] {
  const reader = new Reader(bytes);
  let name = "";
  let value: Uint8Array = noData;
  while (!reader.atEnd) {
    const tag = reader.number();
    if (tag === 10) name = reader.byteString();
    else if (tag === 18) value = reader.bytes().slice();
    else reader.skip(tag & 7);
  }
  return [name, value];
}

export function encodeStatPacket(stat: FileStat | undefined): Uint8Array {
  if (stat === undefined) return new Uint8Array(0);
  const body = encodeStat(stat);
  const writer = new Writer(body.length + 8);
  writer.number(18);
  writer.bytes(body);
  return writer.take();
}

/** Bytes of a fsutil.Stat; zero values are left out. */
export function encodeStat(stat: FileStat): Uint8Array {
  let room = 80 + stat.path.length + stat.linkname.length;
  for (const [name, value] of stat.xattrs ?? []) room += name.length + value.length + 30;
  const writer = new Writer(room);
  writer.byteStringField(10, stat.path);
  writer.numberField(16, stat.mode);
  writer.numberField(24, stat.uid);
  writer.numberField(32, stat.gid);
  writer.numberField(40, stat.size);
  if (stat.modTime !== 0n) {
    writer.number(48);
    writer.int64(stat.modTime);
  }
  writer.byteStringField(58, stat.linkname);
  writer.numberField(64, stat.devmajor);
  writer.numberField(72, stat.devminor);
  for (const name of [...(stat.xattrs?.keys() ?? [])].sort()) {
    const value = stat.xattrs?.get(name) ?? noData;
    const entry = new Writer(name.length + value.length + 20);
    entry.byteStringField(10, name);
    if (value.length > 0) {
      entry.number(18);
      entry.bytes(value);
    }
    writer.number(82);
    writer.bytes(entry.take());
  }
  return writer.take();
}

export function encodeRequest(id: number): Uint8Array {
  const writer = new Writer(16);
  writer.number(8);
  writer.number(PacketType.Request);
  writer.numberField(24, id);
  return writer.take();
}

/** No data = end of the file. */
export function encodeData(id: number, data: Uint8Array): Uint8Array {
  const writer = new Writer(data.length + 24);
  writer.number(8);
  writer.number(PacketType.Data);
  writer.numberField(24, id);
  if (data.length > 0) {
    writer.number(34);
    writer.bytes(data);
  }
  return writer.take();
}

export function encodeFin(): Uint8Array {
  return Uint8Array.of(8, PacketType.Fin);
}

export function encodeError(text: string): Uint8Array {
  const data = Buffer.from(text, "utf8");
  const writer = new Writer(data.length + 16);
  writer.number(8);
  writer.number(PacketType.Error);
  writer.number(34);
  writer.bytes(data);
  return writer.take();
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  get atEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** A varint of up to 53 bits. */
  number(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#next();
      if (scale <= 2 ** 49) value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw malformed();
  }

  int64(): bigint {
    // Three parts that are exact as doubles: bits 0–27, 28–55, 56–63.
    const parts = [0, 0, 0];
    for (let i = 0; i < 10; i++) {
      const byte = this.#next();
      const part = i >> 2;
      parts[part] = (parts[part] ?? 0) + (byte & 0x7f) * 2 ** (7 * (i & 3));
      if (byte < 0x80) {
        const [low = 0, middle = 0, high = 0] = parts;
        return BigInt.asIntN(64, (BigInt(high) << 56n) + (BigInt(middle) << 28n) + BigInt(low));
      }
    }
    throw malformed();
  }

  bytes(): Uint8Array {
    const length = this.number();
    const from = this.#at;
    if (length > this.#end - from) throw malformed();
    this.#at = from + length;
    return this.#bytes.subarray(from, from + length);
  }

  byteString(): BytePath {
    const { buffer, byteOffset, byteLength } = this.bytes();
    return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
  }

  skip(wireType: number): void {
    if (wireType === 0) this.int64();
    else if (wireType === 1) this.#at += 8;
    else if (wireType === 2) this.bytes();
    else if (wireType === 5) this.#at += 4;
    else throw malformed();
    if (this.#at > this.#end) throw malformed();
  }

  #next(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw malformed();
    return byte;
  }
}

function malformed(): RangeError {
  return new RangeError("malformed fsutil packet");
}

class Writer {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafeSlow(room);
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#at++] = rest;
  }

  int64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }

  numberField(tag: number, value: number): void {
    if (value === 0) return;
    this.number(tag);
    this.number(value);
  }

  byteStringField(tag: number, value: BytePath): void {
    if (value === "") return;
    this.number(tag);
    this.number(value.length);
    this.#at += this.#buffer.write(value, this.#at, "latin1");
  }

  bytes(value: Uint8Array): void {
    this.number(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }
}
