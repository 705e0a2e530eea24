import {
  type BigIntStats,
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
} from "node:fs";
import {
  type ByteString,
  getXattr,
  hasErrno,
  joinBytes,
  makeNode,
  setTimes,
  setXattr,
  toBytes,
} from "../../util/sys/index.ts";
import { list, type MergedDir, type MergedEntry } from "./merged-dir.ts";
import { fileType, inodeKey, isDirectory, ownXattrs } from "./overlay-form.ts";

/** Copies files with everything that belongs to them, keeping hard links among what one copier has copied. */
export class EntryCopier {
  readonly #links = new Map<string, ByteString>();

  /** Copies one entry; a directory is made empty and its times are left to `finishDirectory`. `to` must not exist. */
  copy(from: { readonly path: ByteString; readonly stat: BigIntStats }, to: ByteString): void {
    const { path, stat } = from;
    const linked = !isDirectory(stat) && stat.nlink > 1n;
    if (linked) {
      const first = this.#links.get(inodeKey(stat));
      if (first !== undefined) {
        linkSync(toBytes(first), toBytes(to));
        return;
      }
    }
    createLike(path, stat, to);
    copyMetadata(path, stat, to);
    if (!isDirectory(stat)) setTimes(toBytes(to), { atimeNs: stat.atimeNs, mtimeNs: stat.mtimeNs });
    if (linked) this.#links.set(inodeKey(stat), to);
  }

  /** Copies an entry and, for a directory, all that is visible below it. */
  copyTree(from: MergedEntry, to: ByteString): void {
    this.copy(from, to);
    if (from.dirs === undefined) return;
    this.copyChildren(from.dirs, to);
    finishDirectory(from.stat, to);
  }

  copyChildren(from: MergedDir, to: ByteString): void {
    for (const entry of list(from)) this.copyTree(entry, joinBytes(to, entry.name));
  }
}

/** Sets a directory's times, once nothing will be created in it any more. */
export function finishDirectory(stat: BigIntStats, to: ByteString): void {
  setTimes(toBytes(to), { atimeNs: stat.atimeNs, mtimeNs: stat.mtimeNs });
}

function createLike(path: ByteString, stat: BigIntStats, to: ByteString): void {
  switch (fileType(stat)) {
    case constants.S_IFREG:
      // FICLONE where the filesystem can share blocks, else copy_file_range: libuv falls back by itself.
      copyFileSync(toBytes(path), toBytes(to), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      return;
    case constants.S_IFDIR:
      mkdirSync(toBytes(to), 0o700);
      return;
    case constants.S_IFLNK:
      symlinkSync(readlinkSync(toBytes(path), "buffer"), toBytes(to));
      return;
    default:
      makeNode(toBytes(to), Number(stat.mode), stat.rdev);
  }
}

/** Owner, mode and extended attributes. chown comes first: it clears set-id bits and security.capability. */
export function copyMetadata(path: ByteString, stat: BigIntStats, to: ByteString): void {
  const target = toBytes(to);
  lchownSync(target, Number(stat.uid), Number(stat.gid));
  if (fileType(stat) !== constants.S_IFLNK) chmodSync(target, Number(stat.mode) & 0o7777);
  for (const name of ownXattrs(path)) {
    const value = getXattr(toBytes(path), toBytes(name));
    if (value === undefined) continue;
    try {
      setXattr(target, toBytes(name), value);
    } catch (error) {
      // An attribute which the target's filesystem or our rights do not allow is no reason to fail (moby/buildkit#1189).
      if (!hasErrno(error, "EPERM", "ENOTSUP", "EOPNOTSUPP", "EACCES")) throw error;
    }
  }
}
