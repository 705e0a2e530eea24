import type { ByteString } from "../../util/sys/index.ts";

/** Type flags of entries (POSIX ustar; Go archive/tar names in comments where they differ). */
export const TarType = {
  File: "0",
  HardLink: "1",
  Symlink: "2",
  CharDevice: "3",
  BlockDevice: "4",
  Directory: "5",
  Fifo: "6",
  /** PAX global header: only `pax` counts. */
  Global: "g",
} as const;

/** How a header is written. `auto` picks the oldest form that holds it and rounds mtime to seconds. */
export type TarFormat = "auto" | "ustar" | "pax" | "gnu";

/** One entry. Names are bytes, a directory's ends in `/`; times are Unix nanoseconds. */
export interface TarHeader {
  readonly name: ByteString;
  readonly type: string;
  /** Permission, set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; of a sparse file the size it expands to. */
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly atimeNs?: bigint;
  readonly ctimeNs?: bigint;
  readonly linkname: ByteString;
  readonly uname: ByteString;
  readonly gname: ByteString;
  readonly devMajor: number;
  readonly devMinor: number;
  /** PAX records as read, or to be written beside those which the fields call for. */
  readonly pax: ReadonlyMap<ByteString, ByteString>;
  readonly format: TarFormat;
}

const none = "" as ByteString;

/** A header with everything optional left at its zero. */
export function tarHeader(header: Partial<TarHeader> & Pick<TarHeader, "name" | "type">): TarHeader {
  return {
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs: 0n,
    linkname: none,
    uname: none,
    gname: none,
    devMajor: 0,
    devMinor: 0,
    pax: new Map(),
    format: "auto",
    ...header,
  };
}

export const xattrRecordPrefix = "SCHILY.xattr.";

/** Extended attributes of an entry: name → value, both bytes. */
export function xattrsOf(header: TarHeader): Map<ByteString, ByteString> {
  const xattrs = new Map<ByteString, ByteString>();
  for (const [key, value] of header.pax) {
    if (key.startsWith(xattrRecordPrefix)) xattrs.set(key.slice(xattrRecordPrefix.length) as ByteString, value);
  }
  return xattrs;
}

/** True for types that have no content whatever their size field says. */
export function isHeaderOnly(type: string): boolean {
  return type >= TarType.HardLink && type <= TarType.Fifo;
}

export const blockBytes = 512;

/** Zero bytes that follow content of this size. */
export function paddingBytes(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}
