import { type BigIntStats, lstatSync, readlinkSync } from "node:fs";
import { type BytePath, fsPath } from "./byte-path.ts";
import { deviceMajor, deviceMinor, GoMode, isGoDir, isGoSymlink, toGoMode } from "./file-mode.ts";
import { attempt } from "./fs-error.ts";
import { readXattrs } from "./native.ts";

/** One entry of a tree as fsutil describes it (types.Stat): paths as bytes, mode as os.FileMode. */
export interface FileStat {
  readonly path: BytePath;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** 0 for directories. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modTime: bigint;
  /** Target of a symlink, or the first name of a hard-linked file. */
  readonly linkname: BytePath;
  readonly devmajor: number;
  readonly devminor: number;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** First path seen by inode; shared by the calls of one walk so that further names become hard links. */
export type LinkTable = Map<string, BytePath>;

/**
 * Describes a file on disk (fsutil mkstat).
 * @param path what `FileStat.path` shall say
 * @throws FsError
 */
export function statFile(full: BytePath, path: BytePath, links?: LinkTable): FileStat {
  const stats = attempt("lstat", full, () => lstatSync(fsPath(full), { bigint: true }));
  return describe(full, path, stats, links);
}

function describe(full: BytePath, path: BytePath, stats: BigIntStats, links: LinkTable | undefined): FileStat {
  const mode = toGoMode(Number(stats.mode));
  const directory = isGoDir(mode);
  const symlink = isGoSymlink(mode);
  const device = (mode & GoMode.device) !== 0;
  const rdev = device ? Number(stats.rdev) : 0;
  const size = directory ? 0 : Number(stats.size);
  let linkname = "";
  if (!directory && links !== undefined && stats.nlink > 1n) {
    const inode = `${stats.dev}:${stats.ino}`;
    const first = links.get(inode);
    if (first === undefined) links.set(inode, path);
    else linkname = first;
  }
  if (symlink) {
    linkname = attempt("readlink", full, () => readlinkSync(fsPath(full), "latin1"));
  }
  const xattrs = readXattrs(full);
  return {
    path,
    // tar has no sockets; the bit never goes over the wire.
    mode: (mode & ~GoMode.socket) >>> 0,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size,
    modTime: stats.mtimeNs,
    linkname,
    devmajor: deviceMajor(rdev),
    devminor: deviceMinor(rdev),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
}
