import { goJson } from "../../util/go-json.ts";
import { type ByteString, toBytes, toText } from "../../util/sys/index.ts";
import { type TarHeader, TarType, xattrRecordPrefix } from "../tar/index.ts";

/** Name under which the table of contents is in the archive (stargz-snapshotter docs/estargz.md). */
export const tocName = "stargz.index.json";

/** An entry of the table of contents. Absent numbers and texts are zero and empty. */
export interface TocEntry {
  readonly name: string;
  readonly type: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Number of the piece of the blob in which the content begins. */
  piece?: number;
  digest?: string;
  chunkOffset?: number;
  chunkSize?: number;
  chunkDigest?: string;
}

const types: Readonly<Record<string, string>> = {
  [TarType.File]: "reg",
  [TarType.HardLink]: "hardlink",
  [TarType.Symlink]: "symlink",
  [TarType.Directory]: "dir",
  [TarType.CharDevice]: "char",
  [TarType.BlockDevice]: "block",
  [TarType.Fifo]: "fifo",
};

/** Table of contents of an eStargz blob, as Go's stargz-snapshotter writes it (estargz/estargz.go, types.go). */
export class Toc {
  readonly #entries: TocEntry[] = [];
  readonly #users = new Map<number, string>();
  readonly #groups = new Map<number, string>();

  /** @throws Error for a type of entry that layers do not have */
  add(header: TarHeader): TocEntry {
    const type = types[header.type];
    if (type === undefined) throw new Error(`unsupported input tar entry ${JSON.stringify(header.type)}`);
    const isDevice = type === "char" || type === "block";
    const entry: TocEntry = {
      ...{ name: toText(header.name), type },
      attributes: {
        size: type === "reg" ? header.size || undefined : undefined,
        modtime: modificationTime(header.mtimeNs),
        linkName: type.endsWith("link") ? toText(header.linkname) || undefined : undefined,
        mode: header.mode || undefined,
        uid: header.uid || undefined,
        gid: header.gid || undefined,
        userName: ifChanged(this.#users, header.uid, toText(header.uname)),
        groupName: ifChanged(this.#groups, header.gid, toText(header.gname)),
        devMajor: isDevice ? header.devMajor || undefined : undefined,
        devMinor: isDevice ? header.devMinor || undefined : undefined,
        xattrs: extendedAttributes(header),
      },
    };
    this.#entries.push(entry);
    return entry;
  }

  /** The next part of a file's content. */
  addChunk(name: string): TocEntry {
    const entry: TocEntry = { name, type: "chunk", attributes: {} };
    this.#entries.push(entry);
    return entry;
  }

  /** @param offsets of the pieces in the blob */
  json(offsets: readonly number[]): string {
    const entries = this.#entries.map(({ name, type, attributes, piece, ...content }) => {
      const { size, modtime, linkName, mode, uid, gid, userName, groupName, ...others } = attributes;
      return {
        ...{ name, type, size, modtime, linkName, mode, uid, gid, userName, groupName },
        offset: piece === undefined ? undefined : offsets[piece] || undefined,
        ...others,
        digest: content.digest,
        chunkOffset: content.chunkOffset || undefined,
        chunkSize: content.chunkSize,
        chunkDigest: content.chunkDigest,
      };
    });
    const text = goJson({ version: 1, entries: entries.length === 0 ? null : entries }, "\t");
    // Go escapes what stands for bytes that are no UTF-8.
    return text.replaceAll("\ufffd", "\\ufffd");
  }
}

/** Rounded to the second, half away from zero. */
function modificationTime(ns: bigint): string | undefined {
  const second = 1_000_000_000n;
  if (ns >= 0n && ns < second) return undefined;
  const half = ns < 0n ? -second / 2n : second / 2n;
  return new Date(Number((ns + half) / second) * 1000).toISOString().replace(".000Z", "Z");
}

/** A name is said once, until another has the same id. */
function ifChanged(names: Map<number, string>, id: number, name: string): string | undefined {
  if (name === "" || names.get(id) === name) return undefined;
  names.set(id, name);
  return name;
}

function extendedAttributes({ pax }: TarHeader): Readonly<Record<string, string>> | undefined {
  const found = [...(pax ?? new Map<ByteString, ByteString>())]
    .filter(([key]) => key.startsWith(xattrRecordPrefix))
    .map(([key, value]) => [toText(key.slice(xattrRecordPrefix.length) as ByteString), base64(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

function base64(value: ByteString): string {
  return Buffer.from(toBytes(value)).toString("base64");
}
