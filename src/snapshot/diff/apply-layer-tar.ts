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
  toText,
} from "../../util/sys/index.ts";
import { InvalidLayerError, RootedPaths, splitPath } from "./layer-path.ts";
import { isDirectory, isWhiteout, lstatIfExists, makeWhiteout, setOpaque } from "./overlay-form.ts";
import { removeTree } from "./remove-tree.ts";

export interface ApplyOptions {
  /** Bytes of file content at most. Default: no limit. */
  readonly maxBytes?: number;
}

export interface AppliedLayer {
  readonly entries: number;
  /** Bytes of file content. */
  readonly contentBytes: number;
  readonly unsettled: UnsettledLayer;
}

/** What can only be decided with the layers below at hand: input of `settleLayer`. Paths are relative to the layer. */
export interface UnsettledLayer {
  /** Hard links whose target is not in the archive. */
  readonly links: readonly { readonly path: ByteString; readonly target: ByteString }[];
  /** Directories that the archive leaves out and which were made for their children. */
  readonly parents: readonly ByteString[];
  readonly opaque: boolean;
}

/** True when the layer is complete without looking at what is below it. */
export function isSettled({ links, parents, opaque }: UnsettledLayer): boolean {
  return links.length === 0 && parents.length === 0 && !opaque;
}

const whiteoutPrefix = ".wh.";
const opaqueMarker = ".wh..wh..opq";
/** aufs' own book-keeping in old images: neither content nor whiteouts. */
const aufsPrefix = ".wh..wh.";

/**
 * Unpacks an OCI layer archive into an empty directory, in overlay form (containerd pkg/archive/tar.go: applyNaive).
 *
 * Nothing outside the directory is touched, whatever names and links the archive holds: names are resolved as in a chroot.
 * Whiteouts speak of lower layers only, wherever in the archive they come; `trusted.*` attributes are ignored. The layers
 * below are not needed yet, so that the layers of an image can be unpacked side by side: see `settleLayer`.
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
  readonly #maxBytes: number;
  readonly #directoryTimes = new Map<ByteString, bigint>();
  readonly #links: { path: ByteString; target: ByteString }[] = [];
  readonly #parents = new Set<ByteString>();
  #opaque = false;
  #entries = 0;
  #contentBytes = 0;

  constructor(target: ByteString, options: ApplyOptions) {
    this.#paths = new RootedPaths(target);
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
    const unsettled = { links: this.#links, parents: [...this.#parents], opaque: this.#opaque };
    return { entries: this.#entries, contentBytes: this.#contentBytes, unsettled };
  }

  #makeParents(path: ByteString): void {
    if (path === "" || this.#directoryTimes.has(path) || this.#parents.has(path)) return;
    const stat = lstatIfExists(this.#paths.host(path));
    if (stat !== undefined) {
      if (isDirectory(stat)) return;
      if (!isWhiteout(stat)) throw new InvalidLayerError(path, "not a directory");
    }
    this.#makeParents(path.slice(0, Math.max(0, path.lastIndexOf("/"))) as ByteString);
    this.#makeDirectory(path, stat);
    chmodSync(toBytes(this.#paths.host(path)), 0o755);
    this.#parents.add(path);
  }

  /** A directory in the place of a whiteout hides what is below it. */
  #makeDirectory(path: ByteString, existing: BigIntStats | undefined): void {
    const host = this.#paths.host(path);
    if (existing !== undefined) this.#remove(path);
    mkdirSync(toBytes(host), 0o700);
    if (existing !== undefined && isWhiteout(existing)) this.#markOpaque(host);
  }

  #remove(path: ByteString): void {
    removeTree(this.#paths.host(path));
    this.#paths.forget();
    for (const known of this.#directoryTimes.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
    }
    for (const known of this.#parents) {
      if (known === path || known.startsWith(`${path}/`)) this.#parents.delete(known);
    }
  }

  #applyWhiteout(parent: ByteString, base: ByteString, header: TarHeader): void {
    if (base === opaqueMarker) {
      if (parent !== "") this.#markOpaque(this.#paths.host(parent));
      return;
    }
    if (base.startsWith(aufsPrefix)) return;
    const hidden = base.slice(whiteoutPrefix.length) as ByteString;
    if (hidden === "" || hidden === "." || hidden === "..")
      throw new InvalidLayerError(header.name, "invalid whiteout name");
    const host = this.#paths.host(joinBytes(parent, hidden));
    const existing = lstatIfExists(host);
    if (existing === undefined) makeWhiteout(host);
    else if (isDirectory(existing)) this.#markOpaque(host);
  }

  #markOpaque(host: ByteString): void {
    setOpaque(host);
    this.#opaque = true;
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
        this.#applyHardLink(path, header);
        return;
      }
      await this.#create(host, entry);
    }
    applyXattrs(host, header);
    if (header.type !== TarType.Symlink) chmodSync(toBytes(host), header.mode & 0o7777);
    if (header.type === TarType.Directory) {
      this.#directoryTimes.set(path, header.mtimeNs);
      this.#parents.delete(path);
    } else setTimes(toBytes(host), { atimeNs: header.mtimeNs, mtimeNs: header.mtimeNs });
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
  #applyHardLink(path: ByteString, header: TarHeader): void {
    const parts = splitPath(header.linkname);
    const base = parts.pop();
    if (base === undefined) throw new InvalidLayerError(header.name, "hard link to the root directory");
    const target = joinBytes(this.#paths.resolve(parts), base);
    const stat = lstatIfExists(this.#paths.host(target));
    if (stat === undefined) {
      this.#links.push({ path, target });
      return;
    }
    if (isDirectory(stat)) throw new InvalidLayerError(header.name, "hard link to a directory");
    if (isWhiteout(stat)) throw missingTarget(path, target);
    linkSync(toBytes(this.#paths.host(target)), toBytes(this.#paths.host(path)));
  }
}

export function missingTarget(path: ByteString, target: ByteString): InvalidLayerError {
  return new InvalidLayerError(path, `hard link target ${JSON.stringify(toText(target))} does not exist`);
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
