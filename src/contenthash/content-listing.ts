import { hash } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Digest } from "../core/values/digest.ts";
import { type BytePath, textPath } from "../filesystem/index.ts";
import { decode, encode } from "../util/msgpack.ts";

/** With more entries the deepest directories are folded into one entry each: a listing stays below a megabyte or two. */
const maxEntries = 1 << 16;

/** What a content digest was computed over: enough to say which files make the difference to another one. */
export interface ContentListing {
  /** Longer paths are folded into one entry `<first names>/**`; Infinity when none is. */
  readonly depth: number;
  /** Path below the root → start of the digest of its attributes and data. A directory ends in a slash. */
  readonly entries: ReadonlyMap<string, bigint>;
}

export interface FileChange {
  /** Ends in a slash for a directory itself, in a slash and two stars for all below one. */
  readonly path: string;
  readonly change: "added" | "removed" | "changed";
}

interface Encoded {
  /** Absent for Infinity. */
  readonly depth?: number;
  /** Separated by NUL. */
  readonly paths: string;
  /** Eight bytes each. */
  readonly digests: Uint8Array;
}

/** @param entries digests by path below the root, a directory's with a slash at the end */
export function encodeListing(entries: ReadonlyMap<BytePath, Digest>, limit = maxEntries): Uint8Array {
  const all = Array.from(entries, ([path, digest]) => [textPath(path), shortDigest(digest)] as const);
  const { depth, entries: kept } = withinLimit({ depth: Infinity, entries: new Map(all) }, limit);
  const encoded: Encoded = {
    ...(depth === Infinity ? {} : { depth }),
    paths: [...kept.keys()].join("\0"),
    digests: new Uint8Array(BigUint64Array.from(kept.values()).buffer),
  };
  return zstdCompressSync(encode(encoded));
}

export function decodeListing(bytes: Uint8Array): ContentListing {
  const { depth = Infinity, paths, digests } = decode<Encoded>(zstdDecompressSync(bytes));
  const view = new DataView(digests.buffer, digests.byteOffset, digests.byteLength);
  const names = digests.length === 0 ? [] : paths.split("\0");
  return { depth, entries: new Map(names.map((path, i) => [path, view.getBigUint64(8 * i, true)])) };
}

/** Sorted by path. A directory that came or went with what is in it is not named besides. */
export function compareListings(before: ContentListing, after: ContentListing): FileChange[] {
  const depth = Math.min(before.depth, after.depth);
  const old = folded(before, depth).entries;
  const now = folded(after, depth).entries;
  const changes: FileChange[] = [];
  for (const [path, digest] of now) {
    const known = old.get(path);
    if (known !== digest) changes.push({ path, change: known === undefined ? "added" : "changed" });
  }
  for (const path of old.keys()) if (!now.has(path)) changes.push({ path, change: "removed" });
  changes.sort((a, b) => (a.path < b.path ? -1 : 1));
  return changes.filter(({ path, change }, i) => {
    const next = changes[i + 1];
    return !(path.endsWith("/") && next?.change === change && next.path.startsWith(path));
  });
}

function withinLimit(listing: ContentListing, limit: number): ContentListing {
  if (listing.entries.size <= limit) return listing;
  let depth = 0;
  for (const path of listing.entries.keys()) depth = Math.max(depth, namesIn(path).length);
  let shorter = listing;
  while (shorter.entries.size > limit && depth > 0) shorter = folded(listing, --depth);
  return shorter;
}

/** The same whether it is done at once or depth by depth. */
function folded(listing: ContentListing, depth: number): ContentListing {
  if (listing.depth <= depth) return listing;
  const entries = new Map<string, bigint>();
  for (const [path, digest] of listing.entries) {
    const names = namesIn(path);
    if (names.length <= depth) {
      entries.set(path, digest);
      continue;
    }
    const name = [...names.slice(0, depth), "**"].join("/");
    const part = path.endsWith("/**") ? digest : shortDigest(`sha256:${hash("sha256", `${path}\0${digest}`)}`);
    entries.set(name, (entries.get(name) ?? 0n) ^ part);
  }
  return { depth, entries };
}

/** `**` is no name. */
function namesIn(path: string): string[] {
  return path.replace(/\/(\*\*)?$/, "").split("/");
}

function shortDigest(digest: string): bigint {
  return BigInt(`0x${digest.slice("sha256:".length, "sha256:".length + 16)}`);
}
