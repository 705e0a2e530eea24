import { type BigIntStats, closeSync, constants, openSync, readlinkSync, readSync } from "node:fs";
import {
  encodeTarHeader,
  isHeaderOnly,
  paddingBytes,
  type TarHeader,
  TarType,
  tarHeader,
  tarTrailer,
  xattrRecordPrefix,
} from "../../archive/tar/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import {
  type ByteString,
  byteString,
  byteStringFrom,
  deviceMajor,
  deviceMinor,
  getXattr,
  joinBytes,
  toBytes,
  toText,
} from "../../util/sys/index.ts";
import {
  fileType,
  inodeKey,
  isDirectory,
  isOpaque,
  isWhiteout,
  lstatBytes,
  namesIn,
  ownXattrs,
} from "./overlay-form.ts";

export interface LayerTarOptions {
  /**
   * `oci` (default): what BuildKit writes, i.e. whole seconds and no attribute but security.capability; digests depend on it.
   * `exact`: nanoseconds and all attributes, to move a layer between agents without loss.
   */
  readonly form?: "oci" | "exact";
  /** Unix seconds; later mtimes are set to it (`rewrite-timestamp`). */
  readonly rewriteTimestamp?: number;
}

const second = 1_000_000_000n;
const capability = byteString("security.capability");
const chunkBytes = 256 * 1024;

/**
 * A stored layer as an OCI layer archive (image-spec layer.md), in the order and with the bytes of containerd's differ
 * (pkg/archive/tar.go ChangeWriter): depth first, names in byte order, no entry for the root; `.wh.` files of mode 0 and
 * time 0; the first name of an inode holds the content and the others link to it; sockets are left out.
 *
 * Chunks are fresh buffers which the caller may give away.
 */
export function* layerTarChunks(layer: ByteString, options: LayerTarOptions = {}): Generator<Uint8Array<ArrayBuffer>> {
  const out = new ChunkBuffer();
  const firstNames = new Map<string, ByteString>();

  function* walk(dir: ByteString): Generator<Uint8Array<ArrayBuffer>> {
    for (const name of namesIn(joinBytes(layer, dir))) {
      const path = joinBytes(dir, name);
      const host = joinBytes(layer, path);
      const stat = lstatBytes(host);
      if (isWhiteout(stat)) {
        yield* out.add(whiteout(joinBytes(dir, `.wh.${name}` as ByteString)));
        continue;
      }
      if (fileType(stat) === constants.S_IFSOCK) continue;
      const header = entryHeader(path, host, stat, firstNames, options);
      yield* out.add(encodeTarHeader(header));
      if (!isHeaderOnly(header.type) && header.size > 0) {
        yield* out.addFile(host, header.size);
        yield* out.add(new Uint8Array(paddingBytes(header.size)));
      }
      if (!isDirectory(stat)) continue;
      if (isOpaque(host)) yield* out.add(whiteout(joinBytes(path, ".wh..wh..opq" as ByteString)));
      yield* walk(path);
    }
  }

  yield* walk("" as ByteString);
  yield* out.add(tarTrailer);
  yield* out.flush();
}

function whiteout(name: ByteString): Uint8Array {
  return encodeTarHeader(tarHeader({ name, type: TarType.File }));
}

function entryHeader(
  path: ByteString,
  host: ByteString,
  stat: BigIntStats,
  firstNames: Map<string, ByteString>,
  options: LayerTarOptions,
): TarHeader {
  const exact = options.form === "exact";
  const type = typeOf(stat);
  const name = type === TarType.Directory ? (`${path}/` as ByteString) : path;
  const header = tarHeader({
    name,
    type,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: type === TarType.File ? Number(stat.size) : 0,
    mtimeNs: entryTime(stat.mtimeNs, exact, options.rewriteTimestamp),
    linkname: type === TarType.Symlink ? byteStringFrom(readlinkSync(toBytes(host), "buffer")) : ("" as ByteString),
    devMajor: deviceMajor(stat.rdev),
    devMinor: deviceMinor(stat.rdev),
    pax: xattrRecords(host, exact),
    format: "pax",
  });
  if (stat.nlink === 1n || type === TarType.Directory) return header;
  const first = firstNames.get(inodeKey(stat));
  if (first !== undefined) return { ...header, type: TarType.HardLink, linkname: first, size: 0 };
  firstNames.set(inodeKey(stat), name);
  return header;
}

function typeOf(stat: BigIntStats): string {
  switch (fileType(stat)) {
    case constants.S_IFDIR:
      return TarType.Directory;
    case constants.S_IFLNK:
      return TarType.Symlink;
    case constants.S_IFCHR:
      return TarType.CharDevice;
    case constants.S_IFBLK:
      return TarType.BlockDevice;
    case constants.S_IFIFO:
      return TarType.Fifo;
    default:
      return TarType.File;
  }
}

function entryTime(mtimeNs: bigint, exact: boolean, latestSeconds: number | undefined): bigint {
  const latestNs = latestSeconds === undefined ? undefined : BigInt(latestSeconds) * second;
  const clamped = latestNs !== undefined && mtimeNs > latestNs ? latestNs : mtimeNs;
  if (exact) return clamped;
  const fraction = clamped % second;
  return clamped - (fraction < 0n ? fraction + second : fraction);
}

function xattrRecords(host: ByteString, exact: boolean): Map<ByteString, ByteString> {
  const records = new Map<ByteString, ByteString>();
  for (const name of exact ? ownXattrs(host) : [capability]) {
    const value = getXattr(toBytes(host), toBytes(name));
    if (value === undefined || value.length === 0) continue;
    records.set(`${xattrRecordPrefix}${name}` as ByteString, byteStringFrom(value));
  }
  return records;
}

/** Gathers small pieces, so that neither messages nor compressor calls are made per header. */
class ChunkBuffer {
  #chunk = new Uint8Array(chunkBytes);
  #used = 0;

  *add(data: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    for (let at = 0; at < data.length; ) {
      const length = Math.min(data.length - at, chunkBytes - this.#used);
      this.#chunk.set(data.subarray(at, at + length), this.#used);
      at += length;
      yield* this.#advance(length);
    }
  }

  /** Exactly `size` bytes of a file. @throws BuildError when it is shorter */
  *addFile(host: ByteString, size: number): Generator<Uint8Array<ArrayBuffer>> {
    const fd = openSync(toBytes(host), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      for (let left = size; left > 0; ) {
        const read = readSync(fd, this.#chunk, this.#used, Math.min(left, chunkBytes - this.#used), null);
        if (read === 0) throw new BuildError(Code.DataLoss, `File ${toText(host)} is shorter than ${size} bytes`);
        left -= read;
        yield* this.#advance(read);
      }
    } finally {
      closeSync(fd);
    }
  }

  *flush(): Generator<Uint8Array<ArrayBuffer>> {
    if (this.#used > 0) yield this.#chunk.slice(0, this.#used);
    this.#used = 0;
  }

  *#advance(length: number): Generator<Uint8Array<ArrayBuffer>> {
    this.#used += length;
    if (this.#used < chunkBytes) return;
    const full = this.#chunk;
    this.#chunk = new Uint8Array(chunkBytes);
    this.#used = 0;
    yield full;
  }
}
