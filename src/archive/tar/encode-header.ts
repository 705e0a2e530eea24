import type { ByteString } from "../../util/sys/index.ts";
import { TarError } from "./tar-error.ts";
import { blockBytes, paddingBytes, type TarHeader, TarType } from "./tar-header.ts";

const second = 1_000_000_000n;

/** End of an archive: two zero blocks. */
export const tarTrailer = new Uint8Array(2 * blockBytes);

/** PAX keys that stand for header fields; a record of one counts only if the field has that value. */
const fieldKeys = new Set(["path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime"]);

/**
 * The blocks that precede an entry's content, byte for byte as Go's archive/tar writes them (writer.go and common.go,
 * Header.allowedFormats), since a layer's digest depends on every byte: ustar if the entry fits it, else PAX, else GNU;
 * PAX records sorted by key; the extended header is named `<dir>/PaxHeaders.0/<file>`.
 *
 * @throws TarError when no allowed form can hold the entry
 */
export function encodeTarHeader(given: TarHeader): Uint8Array {
  const header =
    given.format === "auto" ? { ...given, mtimeNs: roundToSecond(given.mtimeNs), atimeNs: 0n, ctimeNs: 0n } : given;
  const times = given.format === "auto" ? {} : { atimeNs: given.atimeNs, ctimeNs: given.ctimeNs };
  const needs = examine(header, times);
  const only = given.format;
  const mayUstar = only === "auto" || only === "ustar" || (only === "pax" && !needs.preferPax);
  if (mayUstar && needs.ustar) return encodeUstar(header);
  if ((only === "auto" || only === "pax") && needs.pax) return encodePax(header, needs.records);
  if ((only === "auto" || only === "gnu") && needs.gnu) return encodeGnu(header, times);
  throw new TarError(`cannot encode header of ${JSON.stringify(given.name)}`);
}

interface Needs {
  ustar: boolean;
  pax: boolean;
  gnu: boolean;
  /** The entry's mtime would lose its fraction in ustar. */
  preferPax: boolean;
  readonly records: Map<string, string>;
}

interface ExtraTimes {
  readonly atimeNs?: bigint | undefined;
  readonly ctimeNs?: bigint | undefined;
}

function examine(header: TarHeader, times: ExtraTimes): Needs {
  const needs: Needs = { ustar: true, pax: true, gnu: true, preferPax: false, records: new Map() };
  examineText(needs, header, header.name, 100, "path");
  examineText(needs, header, header.linkname, 100, "linkpath");
  examineText(needs, header, header.uname, 32, "uname");
  examineText(needs, header, header.gname, 32, "gname");
  examineNumber(needs, header, header.mode, 8, "");
  examineNumber(needs, header, header.uid, 8, "uid");
  examineNumber(needs, header, header.gid, 8, "gid");
  examineNumber(needs, header, header.size, 12, "size");
  examineNumber(needs, header, header.devMajor, 8, "");
  examineNumber(needs, header, header.devMinor, 8, "");
  examineTime(needs, header, header.mtimeNs, "mtime");
  if (times.atimeNs !== undefined) examineTime(needs, header, times.atimeNs, "atime");
  if (times.ctimeNs !== undefined) examineTime(needs, header, times.ctimeNs, "ctime");
  if (/^[0346]$/.test(header.type) && header.name.endsWith("/")) {
    throw new TarError(`filename may not have trailing slash: ${JSON.stringify(header.name)}`);
  }
  if (header.type === TarType.Global) {
    needs.ustar = false;
    needs.gnu = false;
  }
  if (header.pax.size > 0) {
    needs.ustar = false;
    needs.gnu = false;
    for (const [key, value] of header.pax) {
      if (needs.records.has(key)) continue;
      const free = !fieldKeys.has(key) && !key.startsWith("GNU.sparse.");
      if (header.type === TarType.Global || free) needs.records.set(key, value);
    }
  }
  return needs;
}

function examineText(needs: Needs, header: TarHeader, text: string, fieldBytes: number, key: string): void {
  const tooLong = text.length > fieldBytes;
  const isPath = key === "path" || key === "linkpath";
  if (text.includes("\0") || (tooLong && !isPath)) needs.gnu = false;
  if (text.includes("\0")) needs.pax = false;
  if (tooLong || !isAscii(text)) {
    if (key !== "path" || splitPath(text) === undefined) needs.ustar = false;
    needs.records.set(key, text);
  }
  if (header.pax.get(key as ByteString) === text) needs.records.set(key, text);
}

function examineNumber(needs: Needs, header: TarHeader, value: number, fieldBytes: number, key: string): void {
  if (!fitsBase256(fieldBytes, value)) needs.gnu = false;
  if (!fitsOctal(fieldBytes, value)) {
    needs.ustar = false;
    if (key === "") needs.pax = false;
    else needs.records.set(key, String(value));
  }
  if (key !== "" && header.pax.get(key as ByteString) === String(value)) needs.records.set(key, String(value));
}

function examineTime(needs: Needs, header: TarHeader, timeNs: bigint, key: "mtime" | "atime" | "ctime"): void {
  const seconds = floorSeconds(timeNs);
  const text = formatPaxTime(timeNs);
  const fits = fitsOctal(12, seconds);
  if (key !== "mtime" || !fits) needs.ustar = false;
  if (key !== "mtime" || !fits || timeNs % second !== 0n) {
    needs.preferPax = true;
    needs.records.set(key, text);
  }
  if (header.pax.get(key as ByteString) === text) needs.records.set(key, text);
}

function encodeUstar(header: TarHeader): Uint8Array {
  const split = splitPath(header.name);
  const block = basicBlock(header, split?.name ?? header.name, header.linkname, putOctal);
  if (split !== undefined) putText(block, 345, 155, split.prefix);
  return seal(block, "ustar");
}

function encodePax(header: TarHeader, records: ReadonlyMap<string, string>): Uint8Array {
  const isGlobal = header.type === TarType.Global;
  const parts: Uint8Array[] = [];
  if (records.size > 0 || isGlobal) {
    const keys = [...records.keys()].sort((a, b) => (a < b ? -1 : 1));
    const data = Buffer.from(keys.map((key) => formatPaxRecord(key, records.get(key) ?? "")).join(""), "latin1");
    const name = isGlobal ? header.name || "GlobalHead.0.0" : extendedName(header.name);
    parts.push(...specialFile(name, data, isGlobal ? "g" : "x", "ustar"));
    if (isGlobal) return Buffer.concat(parts);
  }
  const block = basicBlock(header, asciiOnly(header.name), asciiOnly(header.linkname), putOctalOrZero);
  parts.push(seal(block, "ustar"));
  return Buffer.concat(parts);
}

function encodeGnu(header: TarHeader, times: ExtraTimes): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [text, type] of [
    [header.name, "L"],
    [header.linkname, "K"],
  ] as const) {
    if (text.length <= 100) continue;
    parts.push(...specialFile("././@LongLink", Buffer.from(`${text}\0`, "latin1"), type, "gnu"));
  }
  const block = basicBlock(header, header.name, header.linkname, putNumeric);
  if (times.atimeNs) putNumeric(block, 345, 12, floorSeconds(times.atimeNs));
  if (times.ctimeNs) putNumeric(block, 357, 12, floorSeconds(times.ctimeNs));
  parts.push(seal(block, "gnu"));
  return Buffer.concat(parts);
}

type PutNumber = (block: Uint8Array, at: number, length: number, value: number) => void;

function basicBlock(header: TarHeader, name: string, linkname: string, put: PutNumber): Uint8Array {
  const block = new Uint8Array(blockBytes);
  putText(block, 0, 100, name);
  put(block, 100, 8, header.mode);
  put(block, 108, 8, header.uid);
  put(block, 116, 8, header.gid);
  put(block, 124, 12, header.size);
  put(block, 136, 12, floorSeconds(header.mtimeNs));
  block[156] = header.type.charCodeAt(0);
  putText(block, 157, 100, linkname);
  putText(block, 265, 32, header.uname);
  putText(block, 297, 32, header.gname);
  put(block, 329, 8, header.devMajor);
  put(block, 337, 8, header.devMinor);
  return block;
}

function specialFile(name: string, data: Uint8Array, type: string, magic: "ustar" | "gnu"): Uint8Array[] {
  const block = new Uint8Array(blockBytes);
  putText(block, 0, 100, asciiOnly(name).slice(0, 100).replace(/\/+$/, ""));
  for (const at of [100, 108, 116]) putOctal(block, at, 8, 0);
  putOctal(block, 124, 12, data.length);
  putOctal(block, 136, 12, 0);
  block[156] = type.charCodeAt(0);
  return [seal(block, magic), data, new Uint8Array(paddingBytes(data.length))];
}

function seal(block: Uint8Array, magic: "ustar" | "gnu"): Uint8Array {
  putRaw(block, 257, magic === "ustar" ? "ustar\x0000" : "ustar  \0");
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  putOctal(block, 148, 7, sum);
  return block;
}

function putRaw(block: Uint8Array, at: number, text: string): void {
  for (let index = 0; index < text.length; index++) block[at + index] = text.charCodeAt(index);
}

/** Cuts what is too long; a cut that ends in a slash would look like a directory, so the slash goes too. */
function putText(block: Uint8Array, at: number, length: number, text: string): void {
  putRaw(block, at, text.slice(0, length));
  if (text.length > length && text[length - 1] === "/") {
    block[at + text.slice(0, length - 1).replace(/\/+$/, "").length] = 0;
  }
}

function putOctal(block: Uint8Array, at: number, length: number, value: number): void {
  putRaw(block, at, `${value.toString(8).padStart(length - 1, "0")}\0`);
}

function putOctalOrZero(block: Uint8Array, at: number, length: number, value: number): void {
  putOctal(block, at, length, fitsOctal(length, value) ? value : 0);
}

function putNumeric(block: Uint8Array, at: number, length: number, value: number): void {
  if (fitsOctal(length, value)) {
    putOctal(block, at, length, value);
    return;
  }
  let rest = BigInt(value);
  for (let index = length - 1; index >= 0; index--) {
    block[at + index] = Number(BigInt.asUintN(8, rest));
    rest >>= 8n;
  }
  block[at] = (block[at] ?? 0) | 0x80;
}

function fitsOctal(fieldBytes: number, value: number): boolean {
  return value >= 0 && value < 8 ** (fieldBytes - 1);
}

function fitsBase256(fieldBytes: number, value: number): boolean {
  const limit = 2 ** ((fieldBytes - 1) * 8);
  return fieldBytes >= 9 || (value >= -limit && value < limit);
}

/** ustar keeps long names in two parts, cut at a slash. */
function splitPath(name: string): { prefix: string; name: string } | undefined {
  if (name.length <= 100 || !isAscii(name)) return undefined;
  const searched = name.length > 156 ? 156 : name.endsWith("/") ? name.length - 1 : name.length;
  const cut = name.slice(0, searched).lastIndexOf("/");
  const rest = name.length - cut - 1;
  if (cut <= 0 || rest > 100 || rest === 0 || cut > 155) return undefined;
  return { prefix: name.slice(0, cut), name: name.slice(cut + 1) };
}

/** Name of the extended header of an entry (Go path.Join cleans it). */
function extendedName(name: string): string {
  const cut = name.lastIndexOf("/") + 1;
  return cleanPath(`${name.slice(0, cut)}/PaxHeaders.0/${name.slice(cut)}`.replace(/^\/(?=PaxHeaders)/, ""));
}

function cleanPath(path: string): string {
  const rooted = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!rooted) parts.push(part);
  }
  return `${rooted ? "/" : ""}${parts.join("/")}`;
}

function formatPaxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  let size = body.length + String(body.length).length;
  if (String(size).length + body.length !== size) size = String(size).length + body.length;
  return `${size}${body}`;
}

/** Decimal seconds with as many digits as needed. */
export function formatPaxTime(timeNs: bigint): string {
  const negative = timeNs < 0n;
  const absolute = negative ? -timeNs : timeNs;
  const nanos = absolute % second;
  const fraction = nanos === 0n ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${negative ? "-" : ""}${absolute / second}${fraction}`;
}

function floorSeconds(timeNs: bigint): number {
  const seconds = timeNs / second;
  return Number(timeNs < 0n && timeNs % second !== 0n ? seconds - 1n : seconds);
}

function roundToSecond(timeNs: bigint): bigint {
  return BigInt(floorSeconds(timeNs + second / 2n)) * second;
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what must not be in a field.
  return /^[\x01-\x7f]*$/.test(text);
}

function asciiOnly(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is dropped too, as Go's toASCII does.
  return text.replace(/[^\x01-\x7f]/g, "");
}
