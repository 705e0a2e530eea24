import type { Hash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { fileDigestOf, headerDigest, startFileDigest } from "../contenthash/index.ts";
import type { Digest } from "../core/values/digest.ts";
import {
  attempt,
  type BytePath,
  errnoOf,
  type FileStat,
  fromGoMode,
  fsPath,
  GoMode,
  goPermissions,
  isGoDir,
  isGoSymlink,
  writeNode,
  writeTimes,
  writeXattr,
} from "../filesystem/index.ts";

interface OpenFile {
  readonly stat: FileStat;
  readonly fd: number;
  readonly hash: Hash;
}

/**
 * Creates the entries of a validated list below an empty directory, with owners, modes, times and attributes, and hashes
 * content as it passes. Directories get theirs, and hard links are made, in `finish`, when nothing below changes any more.
 */
export class TreeWriter {
  readonly #root: BytePath;
  readonly #directories: FileStat[] = [];
  readonly #links: FileStat[] = [];
  readonly #open = new Map<number, OpenFile>();
  readonly #digests = new Map<BytePath, Digest>();

  constructor(root: BytePath) {
    this.#root = root;
  }

  /** Files whose data is not complete. */
  get openFiles(): number {
    return this.#open.size;
  }

  /** Anything but a regular file with data. */
  add(stat: FileStat): void {
    const full = this.#full(stat.path);
    if (isGoDir(stat.mode)) {
      attempt("mkdir", full, () => mkdirSync(fsPath(full), 0o700));
      this.#directories.push(stat);
    } else if (isGoSymlink(stat.mode)) {
      attempt("symlink", full, () => symlinkSync(fsPath(stat.linkname), fsPath(full)));
      this.#metadata(full, stat);
    } else if (stat.linkname !== "") {
      this.#links.push(stat);
      return;
    } else if ((stat.mode & (GoMode.device | GoMode.namedPipe)) !== 0) {
      writeNode(full, fromGoMode(stat.mode), stat.devmajor, stat.devminor);
      this.#metadata(full, stat);
    } else {
      this.begin(-1, stat);
      this.end(-1);
      return;
    }
    this.#digests.set(stat.path, headerDigest(stat));
  }

  /** A regular file of an earlier layer, unchanged: shares its inode, or is copied where that cannot be. */
  reuse(stat: FileStat, digest: Digest, from: BytePath): void {
    const source = `${from}/${stat.path}`;
    const full = this.#full(stat.path);
    try {
      linkSync(fsPath(source), fsPath(full));
    } catch (error) {
      const code = errnoOf(error);
      if (code !== "EMLINK" && code !== "EXDEV" && code !== "EPERM") throw error;
      copyFileSync(fsPath(source), fsPath(full), constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
      this.#metadata(full, stat);
    }
    this.#digests.set(stat.path, digest);
  }

  begin(id: number, stat: FileStat): void {
    const full = this.#full(stat.path);
    const fd = attempt("open", full, () => openSync(fsPath(full), "wx", 0o600));
    this.#open.set(id, { stat, fd, hash: startFileDigest(stat) });
  }

  isOpen(id: number): boolean {
    return this.#open.has(id);
  }

  write(id: number, data: Uint8Array): void {
    const file = this.#openFile(id);
    for (let done = 0; done < data.length; ) {
      done += attempt("write", this.#full(file.stat.path), () => writeSync(file.fd, data, done, data.length - done));
    }
    file.hash.update(data);
  }

  end(id: number): void {
    const { stat, fd, hash } = this.#openFile(id);
    const full = this.#full(stat.path);
    this.#open.delete(id);
    try {
      // Before the owner: changing that takes file capabilities away, as it does in BuildKit.
      for (const [name, value] of stat.xattrs ?? []) writeXattr(full, name, value);
      attempt("chown", full, () => fchownSync(fd, stat.uid, stat.gid));
      attempt("chmod", full, () => fchmodSync(fd, goPermissions(stat.mode)));
    } finally {
      closeSync(fd);
    }
    writeTimes(full, stat.modTime);
    this.#digests.set(stat.path, fileDigestOf(hash));
  }

  /** @returns the digest of every entry by path */
  finish(): ReadonlyMap<BytePath, Digest> {
    for (const stat of this.#links) {
      const full = this.#full(stat.path);
      attempt("link", full, () => linkSync(fsPath(this.#full(stat.linkname)), fsPath(full)));
      const digest = this.#digests.get(stat.linkname);
      if (digest !== undefined) this.#digests.set(stat.path, digest);
    }
    for (const stat of this.#directories.toReversed()) this.#metadata(this.#full(stat.path), stat);
    return this.#digests;
  }

  /** Closes what is open; the directory is the owner's to remove. */
  abandon(): void {
    for (const { fd } of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #openFile(id: number): OpenFile {
    const file = this.#open.get(id);
    if (file === undefined) throw new Error(`invalid file request ${id}`);
    return file;
  }

  #metadata(full: BytePath, stat: FileStat): void {
    for (const [name, value] of stat.xattrs ?? []) writeXattr(full, name, value);
    attempt("lchown", full, () => lchownSync(fsPath(full), stat.uid, stat.gid));
    if (!isGoSymlink(stat.mode)) attempt("chmod", full, () => chmodSync(fsPath(full), goPermissions(stat.mode)));
    writeTimes(full, stat.modTime);
  }

  #full(path: BytePath): BytePath {
    return `${this.#root}/${path}`;
  }
}
