import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Digest } from "../core/values/digest.ts";
import type { FileStat } from "../filesystem/index.ts";
import { decodeStat, encodeStat } from "./packet.ts";

/** What a transfer left in a layer: entries in protocol order, each with its content digest. */
export interface IndexedEntry {
  readonly stat: FileStat;
  readonly digest: Digest;
}

const magic = Buffer.from("BFTREE1\n", "latin1");
const digestBytes = 32;

/** Replaces the file in one step. Format: magic, then per entry u32 length, fsutil.Stat, 32 bytes of sha256. */
export function writeTreeIndex(path: string, entries: readonly IndexedEntry[]): void {
  const parts: Uint8Array[] = [magic];
  for (const { stat, digest } of entries) {
    const bytes = encodeStat(stat);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    parts.push(length, bytes, Buffer.from(digest.slice("sha256:".length), "hex"));
  }
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, Buffer.concat(parts));
  renameSync(temporary, path);
}

/** @returns undefined when there is none, or it is damaged */
export function readTreeIndex(path: string): readonly IndexedEntry[] | undefined {
  try {
    const bytes = readFileSync(path);
    if (!bytes.subarray(0, magic.length).equals(magic)) return undefined;
    const entries: IndexedEntry[] = [];
    for (let at = magic.length; at < bytes.length; ) {
      const length = bytes.readUInt32LE(at);
      const end = at + 4 + length + digestBytes;
      if (end > bytes.length) return undefined;
      const stat = decodeStat(bytes.subarray(at + 4, at + 4 + length));
      entries.push({ stat, digest: `sha256:${bytes.toString("hex", end - digestBytes, end)}` as Digest });
      at = end;
    }
    return entries;
  } catch {
    return undefined;
  }
}
