import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { type TarEntry, type TarHeader, TarReader, TarType, xattrsOf } from "../../archive/tar/index.ts";
import {
  type ByteString,
  hasErrno,
  joinBytes,
  makeDevice,
  makeNode,
  setTimes,
  setXattr,
  toBytes,
} from "../../util/sys/index.ts";
import { copyMetadata, EntryCopier } from "./copy-entry.ts";
import { InvalidLayerError, RootedPaths, splitPath } from "./layer-path.ts";
import { lookupPath, type MergedDir } from "./merged-dir.ts";
import { isDirectory, isWhiteout, lstatIfExists, makeWhiteout, setOpaque } from "./overlay-form.ts";
import { removeTree } from "./remove-tree.ts";

export interface ApplyOptions {
  /** Stack below, topmost first: gives parents which the archive leaves out their owner and mode, and targets of hard links. */
  readonly lowers?: MergedDir;
  /** Bytes of file content at most. Default: no limit. */
  readonly maxBytes?: number;
}

export interface AppliedLayer {
  readonly entries: number;
  /** Bytes of file content. */
  readonly contentBytes: number;
}

const whiteoutPrefix = ".wh.";
const opaqueMarker = ".wh..wh..opq";
/** aufs' own book-keeping in old images: neither content nor whiteouts. */
const aufsPrefix = ".wh..wh.";

/**
 * Unpacks an OCI layer archive into an empty directory, in overlay form (containerd pkg/archive/tar.go: applyNaive).
 *
 * Nothing outside the directory is touched, whatever names and links the archive holds: names are resolved as in a chroot.
 * Whiteouts speak of lower layers only, wherever in the archive they come; `trusted.*` attributes are ignored.
 *
 * @throws TarError, InvalidLayerError
 */
export async function applyLayerTar(
  bytes: AsyncIterable<Uint8Array>,
  target: ByteString,
  options: ApplyOptions = {},
): Promise<AppliedLayer> {
  const reader = new TarReader(bytes);
  const applier = new LayerApplier(target, options);
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      await applier.apply(entry);
    }
    return applier.finish();
  } finally {
    await reader.cancel();
  }
}

class LayerApplier {
  readonly #paths: RootedPaths;
  readonly #lowers: MergedDir;
  readonly #maxBytes: number;
  readonly #directoryTimes = new Map<ByteString, bigint>();
  #entries = 0;
  #contentBytes = 0;

  constructor(target: ByteString, options: ApplyOptions) {
    this.#paths = new RootedPaths(target);
    this.#lowers = options.lowers ?? [];
    this.#maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
  }

  async apply(entry: TarEntry): Promise<void> {
    const { header } = entry;
    if (header.type === TarType.Global) return;
    this.#entries++;
    const parts = splitPath(header.name);
    const base = parts.pop();
    if (base === undefined) return;
    try {
      const parent = this.#paths.resolve(parts);
      this.#makeParents(parent);
      if (base.startsWith(whiteoutPrefix)) this.#applyWhiteout(parent, base, header);
      else await this.#applyEntry(joinBytes(parent, base), entry);
    } catch (error) {
      if (
        hasErrno(error, "ENAMETOOLONG", "ENOTDIR", "EISDIR", "ELOOP", "EINVAL", "EPERM", "EMLINK", "ERANGE", "E2BIG")
      ) {
        throw new InvalidLayerError(header.name, (error as Error).message, error);
      }
      throw error;
    }
  }

  /** Directory times come last: making entries changes them. */
  finish(): AppliedLayer {
    for (const [path, mtimeNs] of this.#directoryTimes) {
      const host = this.#paths.host(path);
      const stat = lstatIfExists(host);
      if (stat !== undefined && isDirectory(stat)) setTimes(toBytes(host), { atimeNs: mtimeNs, mtimeNs });
    }
    return { entries: this.#entries, contentBytes: this.#contentBytes };
  }

  #makeParents(path: ByteString): void {
    if (path === "" || this.#directoryTimes.has(path)) return;
    const stat = lstatIfExists(this.#paths.host(path));
    if (stat !== undefined) {
      if (isDirectory(stat)) return;
      if (!isWhiteout(stat)) throw new InvalidLayerError(path, "not a directory");
    }
    this.#makeParents(path.slice(0, Math.max(0, path.lastIndexOf("/"))) as ByteString);
    this.#makeDirectory(path, stat);
    const below = lookupPath(this.#lowers, path);
    const host = this.#paths.host(path);
    if (below?.dirs === undefined) {
      chmodSync(toBytes(host), 0o755);
      return;
    }
    copyMetadata(below.path, below.stat, host);
    this.#directoryTimes.set(path, below.stat.mtimeNs);
  }

  /** A directory in the place of a whiteout hides what is below it. */
  #makeDirectory(path: ByteString, existing: BigIntStats | undefined): void {
    const host = this.#paths.host(path);
    if (existing !== undefined) this.#remove(path);
    mkdirSync(toBytes(host), 0o700);
    if (existing !== undefined && isWhiteout(existing)) setOpaque(host);
  }

  #remove(path: ByteString): void {
    removeTree(this.#paths.host(path));
    this.#paths.forget();
    for (const known of this.#directoryTimes.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
    }
  }

  #applyWhiteout(parent: ByteString, base: ByteString, header: TarHeader): void {
    if (base === opaqueMarker) {
      if (parent !== "") setOpaque(this.#paths.host(parent));
      return;
    }
    if (base.startsWith(aufsPrefix)) return;
    const hidden = base.slice(whiteoutPrefix.length) as ByteString;
    if (hidden === "" || hidden === "." || hidden === "..")
      throw new InvalidLayerError(header.name, "invalid whiteout name");
    const host = this.#paths.host(joinBytes(parent, hidden));
    const existing = lstatIfExists(host);
    if (existing === undefined) makeWhiteout(host);
    else if (isDirectory(existing)) setOpaque(host);
  }

  async #applyEntry(path: ByteString, entry: TarEntry): Promise<void> {
    const { header } = entry;
    const host = this.#paths.host(path);
    const existing = lstatIfExists(host);
    if (header.type === TarType.Directory) {
      if (existing === undefined || !isDirectory(existing)) this.#makeDirectory(path, existing);
      lchownSync(toBytes(host), header.uid, header.gid);
    } else {
      if (existing !== undefined) this.#remove(path);
      if (header.type === TarType.HardLink) {
        this.#applyHardLink(host, header);
        return;
      }
      await this.#create(host, entry);
    }
    applyXattrs(host, header);
    if (header.type !== TarType.Symlink) chmodSync(toBytes(host), header.mode & 0o7777);
    if (header.type === TarType.Directory) this.#directoryTimes.set(path, header.mtimeNs);
    else setTimes(toBytes(host), { atimeNs: header.mtimeNs, mtimeNs: header.mtimeNs });
  }

  async #create(host: ByteString, entry: TarEntry): Promise<void> {
    const { header } = entry;
    const path = toBytes(host);
    switch (header.type) {
      case TarType.File:
        await this.#writeFile(host, entry);
        return;
      case TarType.Symlink:
        symlinkSync(toBytes(header.linkname), path);
        break;
      case TarType.CharDevice:
        makeNode(path, constants.S_IFCHR, makeDevice(header.devMajor, header.devMinor));
        break;
      case TarType.BlockDevice:
        makeNode(path, constants.S_IFBLK, makeDevice(header.devMajor, header.devMinor));
        break;
      case TarType.Fifo:
        makeNode(path, constants.S_IFIFO, 0n);
        break;
      default:
        throw new InvalidLayerError(header.name, `unhandled tar header type ${header.type.charCodeAt(0)}`);
    }
    lchownSync(path, header.uid, header.gid);
  }

  async #writeFile(host: ByteString, entry: TarEntry): Promise<void> {
    const { header } = entry;
    this.#contentBytes += header.size;
    if (this.#contentBytes > this.#maxBytes) {
      throw new InvalidLayerError(header.name, `layer holds more than ${this.#maxBytes} bytes`);
    }
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = openSync(toBytes(host), flags, 0o600);
    try {
      if (header.size > 0) {
        for await (const { offset, data } of entry.segments()) {
          for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, offset + at);
        }
        if (entry.sparse) ftruncateSync(fd, header.size);
      }
      fchownSync(fd, header.uid, header.gid);
      fchmodSync(fd, header.mode & 0o7777);
    } finally {
      closeSync(fd);
    }
  }

  /** The target's last name is not followed: a link to a symbolic link is one (containerd hardlinkRootPath). */
  #applyHardLink(host: ByteString, header: TarHeader): void {
    const parts = splitPath(header.linkname);
    const base = parts.pop();
    if (base === undefined) throw new InvalidLayerError(header.name, "hard link to the root directory");
    const target = joinBytes(this.#paths.resolve(parts), base);
    const stat = lstatIfExists(this.#paths.host(target));
    if (stat !== undefined && !isWhiteout(stat)) {
      if (isDirectory(stat)) throw new InvalidLayerError(header.name, "hard link to a directory");
      linkSync(toBytes(this.#paths.host(target)), toBytes(host));
      return;
    }
    // A target in a lower layer: links do not reach across layers, so this name gets a copy.
    const below = stat === undefined ? lookupPath(this.#lowers, target) : undefined;
    if (below === undefined || below.dirs !== undefined) {
      throw new InvalidLayerError(header.name, `hard link target ${JSON.stringify(header.linkname)} does not exist`);
    }
    new EntryCopier().copy(below, host);
  }
}

function applyXattrs(host: ByteString, header: TarHeader): void {
  for (const [name, value] of xattrsOf(header)) {
    if (name.startsWith("trusted.")) continue;
    try {
      setXattr(toBytes(host), toBytes(name), toBytes(value));
    } catch (error) {
      const unsupported = hasErrno(error, "ENOTSUP", "EOPNOTSUPP");
      const userOnSpecial = hasErrno(error, "EPERM") && name.startsWith("user.") && !/^[05]$/.test(header.type);
      if (!unsupported && !userOnSpecial) throw error;
    }
  }
}
