import { closeSync, openSync, readSync } from "node:fs";
import { encodeTarHeader, type TarFormat, TarType, tarHeader, xattrRecordPrefix } from "../../archive/tar/index.ts";
import { listTrees, type SourceEntry, type SourceTree } from "../../filesync/index.ts";
import {
  attempt,
  type FileStat,
  fsPath,
  GoMode,
  goPermissions,
  isGoDir,
  isGoSymlink,
  type JobContext,
  serveJobs,
  textPath,
} from "../../filesystem/index.ts";
import type { ByteString } from "../../util/sys/index.ts";

export interface TarListJob {
  readonly trees: readonly SourceTree[];
  /** Times to the nanosecond, not as WriteTar rounds them. */
  readonly exact: boolean;
}

/** An entry of a tar that is being written: what is left of it to write. */
export interface TarPiece {
  /** Empty once it is written. */
  readonly header: Uint8Array;
  readonly content: SourceEntry["content"];
  readonly size: number;
  readonly offset: number;
}

export interface TarPackJob {
  readonly pieces: readonly TarPiece[];
  readonly maxBytes: number;
}

export interface TarPackResult {
  readonly bytes: Uint8Array;
  readonly remaining: readonly TarPiece[];
}

const entriesPerBatch = 512;
const tarBlock = 512;
const none = new Uint8Array(0);

serveJobs({
  /** Emits batches of TarPieces. */
  list({ trees, exact }: TarListJob, context: JobContext): void {
    let pieces: TarPiece[] = [];
    listTrees(trees, ({ stat, content }) => {
      context.checkCancelled();
      const header = encodeHeader(stat, exact ? "pax" : "auto");
      pieces.push({ header, content, size: content === undefined ? 0 : stat.size, offset: 0 });
      if (pieces.length < entriesPerBatch) return;
      context.emit(pieces);
      pieces = [];
    });
    context.emit(pieces);
  },

  pack({ pieces, maxBytes }: TarPackJob, context: JobContext): TarPackResult {
    const out = Buffer.alloc(maxBytes);
    const remaining = [...pieces];
    let at = 0;
    for (;;) {
      context.checkCancelled();
      const piece = remaining[0];
      if (piece === undefined || at + piece.header.length + tarBlock > maxBytes) break;
      remaining.shift();
      out.set(piece.header, at);
      at += piece.header.length;
      const room = Math.floor((maxBytes - at) / tarBlock) * tarBlock;
      const count = Math.min(piece.size - piece.offset, room);
      readContent(piece, out, at, count);
      at += count;
      const offset = piece.offset + count;
      if (offset < piece.size) {
        remaining.unshift({ ...piece, header: none, offset });
        break;
      }
      at += (tarBlock - (piece.size % tarBlock)) % tarBlock;
    }
    return { bytes: out.subarray(0, at), remaining };
  },
});

function readContent(piece: TarPiece, out: Buffer, at: number, count: number): void {
  if (count === 0 || piece.content === undefined) return;
  if ("data" in piece.content) {
    out.set(piece.content.data.subarray(piece.offset, piece.offset + count), at);
    return;
  }
  const { file } = piece.content;
  const fd = attempt("open", file, () => openSync(fsPath(file), "r"));
  try {
    for (let done = 0; done < count; ) {
      const read = attempt("read", file, () => readSync(fd, out, at + done, count - done, piece.offset + done));
      if (read === 0) throw new Error(`${textPath(file)} became shorter while it was read`);
      done += read;
    }
  } finally {
    closeSync(fd);
  }
}

/** Header of a tree entry as fsutil's WriteTar makes it. */
function encodeHeader(stat: FileStat, format: TarFormat): Uint8Array {
  const directory = isGoDir(stat.mode);
  const type = tarType(stat);
  return encodeTarHeader(
    tarHeader({
      name: (directory ? `${stat.path}/` : stat.path) as ByteString,
      type,
      format,
      mode: goPermissions(stat.mode),
      uid: stat.uid,
      gid: stat.gid,
      size: type === TarType.File ? stat.size : 0,
      mtimeNs: stat.modTime,
      linkname: stat.linkname as ByteString,
      devMajor: stat.devmajor,
      devMinor: stat.devminor,
      pax: new Map(
        [...(stat.xattrs ?? [])].map(([name, value]) => [
          `${xattrRecordPrefix}${name}` as ByteString,
          Buffer.from(value).toString("latin1") as ByteString,
        ]),
      ),
    }),
  );
}

function tarType({ mode, linkname }: FileStat): string {
  if (isGoSymlink(mode)) return TarType.Symlink;
  if (linkname !== "") return TarType.HardLink;
  if (isGoDir(mode)) return TarType.Directory;
  if ((mode & GoMode.charDevice) !== 0) return TarType.CharDevice;
  if ((mode & GoMode.device) !== 0) return TarType.BlockDevice;
  return (mode & GoMode.namedPipe) !== 0 ? TarType.Fifo : TarType.File;
}
