import { type ByteString, byteStringFrom } from "../../util/sys/index.ts";
import { TarError } from "./tar-error.ts";
import { blockBytes, type TarFormat, type TarHeader } from "./tar-header.ts";

const second = 1_000_000_000n;

/** One header block, with fields that extended headers may still replace. */
export interface RawHeader {
  name: ByteString;
  type: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeNs: bigint;
  atimeNs?: bigint;
  ctimeNs?: bigint;
  linkname: ByteString;
  uname: ByteString;
  gname: ByteString;
  devMajor: number;
  devMinor: number;
  /** Forms that could have produced the block; empty when it is none of them exactly (v7, star, fields out of form). */
  formats: ReadonlySet<TarFormat>;
}

const ustarFormats: ReadonlySet<TarFormat> = new Set<TarFormat>(["ustar", "pax"]);
const gnuFormats: ReadonlySet<TarFormat> = new Set<TarFormat>(["gnu"]);

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

/** @throws TarError when the block is no tar header */
export function decodeHeaderBlock(block: Uint8Array): RawHeader {
  verifyChecksum(block);
  const magic = byteStringFrom(block.subarray(257, 265));
  const isGnu = magic === "ustar  \0";
  const isStar = magic === "ustar\x0000" && byteStringFrom(block.subarray(508, 512)) === "tar\0";
  const isUstar = magic.startsWith("ustar\0") && !isStar;
  const raw: RawHeader = {
    name: text(block, 0, 100),
    type: String.fromCharCode(block[156] ?? 0),
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtimeNs: BigInt(number(block, 136, 12)) * second,
    linkname: text(block, 157, 100),
    uname: "" as ByteString,
    gname: "" as ByteString,
    devMajor: 0,
    devMinor: 0,
    formats: new Set(),
  };
  if (!isGnu && !isStar && !isUstar) return raw;
  raw.uname = text(block, 265, 32);
  raw.gname = text(block, 297, 32);
  raw.devMajor = number(block, 329, 8);
  raw.devMinor = number(block, 337, 8);
  if (isGnu) {
    raw.formats = gnuFormats;
    if (block[345] !== 0) raw.atimeNs = BigInt(number(block, 345, 12)) * second;
    if (block[357] !== 0) raw.ctimeNs = BigInt(number(block, 357, 12)) * second;
    return raw;
  }
  const prefix = text(block, 345, isStar ? 131 : 155);
  if (prefix !== "") raw.name = `${prefix}/${raw.name}` as ByteString;
  if (isUstar && isWellFormedUstar(block)) raw.formats = ustarFormats;
  return raw;
}

function isWellFormedUstar(block: Uint8Array): boolean {
  const numbersEnd = [107, 115, 123, 135, 147, 336, 344];
  return block.every((byte) => byte < 0x80) && numbersEnd.every((at) => block[at] === 0);
}

function verifyChecksum(block: Uint8Array): void {
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < blockBytes; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 256;
  }
  const stated = number(block, 148, 8);
  if (stated !== unsigned && stated !== signed) throw new TarError("invalid tar header");
}

/** Text up to the first NUL. */
function text(block: Uint8Array, at: number, length: number): ByteString {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return byteStringFrom(end < 0 ? field : field.subarray(0, end));
}

/** Octal, or base-256 when the first bit is set (GNU). @throws TarError */
export function number(block: Uint8Array, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  const first = field[0] ?? 0;
  if ((first & 0x80) === 0) {
    const digits = byteStringFrom(field)
      .replace(/^[ \0]+|[ \0]+$/g, "")
      .replace(/\0.*$/s, "");
    if (digits === "") return 0;
    if (!/^[0-7]+$/.test(digits)) throw new TarError("invalid tar header");
    return safe(Number.parseInt(digits, 8));
  }
  let value = BigInt.asIntN(7, BigInt(first));
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  return safe(Number(value));
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new TarError("number out of range in tar header");
  return value;
}

/** `<length> <key>=<value>\n` records of an extended header, in order. @throws TarError */
export function* decodePaxRecords(data: Uint8Array): Generator<[ByteString, ByteString]> {
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const lengthText = space < 0 ? "" : byteStringFrom(data.subarray(at, space));
    const length = /^\d{1,9}$/.test(lengthText) ? Number(lengthText) : 0;
    const end = at + length;
    const equals = data.indexOf(0x3d, space + 1);
    if (
      length < 5 ||
      end > data.length ||
      data[end - 1] !== 0x0a ||
      equals < 0 ||
      equals >= end ||
      equals === space + 1
    ) {
      throw new TarError("invalid tar header");
    }
    const key = byteStringFrom(data.subarray(space + 1, equals));
    const value = byteStringFrom(data.subarray(equals + 1, end - 1));
    const isText = key === "path" || key === "linkpath" || key === "uname" || key === "gname";
    if ((isText ? value : key).includes("\0")) throw new TarError("invalid tar header");
    yield [key, value];
    at = end;
  }
}

/** Puts what PAX records say over the fields. An empty value leaves the field as it is. @throws TarError */
export function applyPaxRecords(raw: RawHeader, records: ReadonlyMap<ByteString, ByteString>): void {
  for (const [key, value] of records) {
    if (value === "") continue;
    switch (key as string) {
      case "path":
        raw.name = value;
        break;
      case "linkpath":
        raw.linkname = value;
        break;
      case "uname":
        raw.uname = value;
        break;
      case "gname":
        raw.gname = value;
        break;
      case "uid":
        raw.uid = decimal(value);
        break;
      case "gid":
        raw.gid = decimal(value);
        break;
      case "size":
        raw.size = decimal(value);
        break;
      case "mtime":
        raw.mtimeNs = parsePaxTime(value);
        break;
      case "atime":
        raw.atimeNs = parsePaxTime(value);
        break;
      case "ctime":
        raw.ctimeNs = parsePaxTime(value);
        break;
    }
  }
}

export function decimal(value: string): number {
  if (!/^-?\d{1,16}$/.test(value)) throw new TarError("invalid tar header");
  return safe(Number(value));
}

/** Seconds with a decimal fraction; digits beyond nanoseconds are cut. */
function parsePaxTime(value: string): bigint {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value);
  if (match === null) throw new TarError("invalid tar header");
  const [, sign, whole = "0", fraction = ""] = match;
  const nanos = BigInt(whole) * second + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -nanos : nanos;
}

/** The header as read, for users. */
export function finishHeader(
  raw: RawHeader,
  pax: ReadonlyMap<ByteString, ByteString>,
  formats: ReadonlySet<TarFormat>,
): TarHeader {
  const { formats: _, ...fields } = raw;
  const format = (["ustar", "pax", "gnu"] as const).find((candidate) => formats.has(candidate));
  return { ...fields, pax, format: format ?? "auto" };
}
