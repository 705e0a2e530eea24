import type { Digest } from "../core/values/digest.ts";
import {
  type BytePath,
  comparePaths,
  type FileStat,
  isGoDir,
  isGoRegular,
  PatternMatcher,
  textPath,
} from "../filesystem/index.ts";
import { OrderCheck } from "./order-check.ts";
import { decodePacket, encodeStat, PacketType } from "./packet.ts";
import type { IndexedEntry } from "./tree-index.ts";
import { TreeWriter } from "./tree-writer.ts";

export interface TreeReceiverOptions {
  /** Empty directory. */
  readonly root: BytePath;
  /** What an earlier transfer left, and the directory where it still is. */
  readonly previous?: { readonly directory: BytePath; readonly entries: readonly IndexedEntry[] };
  /**
   * `metadata`: an entry with the same size, time, mode, owner, device and link is unchanged; `none`: everything is taken, and
   * compared by content as well.
   */
  readonly differ: "metadata" | "none";
  /** Only write the list of entries, and the content of those that match. */
  readonly metadataOnly?: { readonly exceptions: readonly string[] };
}

export interface ReceivedTree {
  /** False: the earlier tree still holds, and what may have been written is the same again. */
  readonly changed: boolean;
  /** In protocol order. */
  readonly entries: readonly IndexedEntry[];
}

const metadataFile = ".fsutil-metadata";

/**
 * The receiving side of the fsutil protocol without its I/O: takes packets, says which files to request, writes the tree
 * (vendored tonistiigi/fsutil receive.go, diff_containerd.go). As long as what arrives is what the earlier transfer had,
 * nothing is written. Synchronous; for a worker thread.
 */
export class TreeReceiver {
  readonly #options: TreeReceiverOptions;
  readonly #writer: TreeWriter;
  readonly #order = new OrderCheck();
  readonly #previous: readonly IndexedEntry[];
  /** Entries of this tree so far, with the digests that are known before `finish`. */
  readonly #entries: { readonly stat: FileStat; readonly digest?: Digest }[] = [];
  readonly #wanted = new Map<number, FileStat>();
  readonly #exceptions: PatternMatcher | undefined;
  readonly #metadata: Uint8Array[] = [];
  /** Directories that wait for an entry below them to be written (metadata only). */
  readonly #skippedParents: FileStat[] = [];
  #requests: number[] = [];
  #nextId = 0;
  #previousAt = 0;
  #changed: boolean;
  #listed = false;

  constructor(options: TreeReceiverOptions) {
    this.#options = options;
    this.#writer = new TreeWriter(options.root);
    this.#previous = options.differ === "metadata" ? (options.previous?.entries ?? []) : [];
    // Without an earlier tree there is nothing to be equal to; a list of all entries is not among what is compared.
    this.#changed = options.previous === undefined || options.differ === "none" || options.metadataOnly !== undefined;
    this.#exceptions = options.metadataOnly && new PatternMatcher(options.metadataOnly.exceptions);
  }

  /** All entries are known and all requested data is there. */
  get complete(): boolean {
    return this.#listed && this.#wanted.size === 0;
  }

  /** @throws Error on a packet that breaks the protocol, or when the sender reports an error */
  push(message: Uint8Array): void {
    const packet = decodePacket(message);
    switch (packet.type) {
      case PacketType.Stat:
        if (packet.stat === undefined) this.#endOfList();
        else this.#stat(packet.stat);
        break;
      case PacketType.Data:
        this.#data(packet.id, packet.data);
        break;
      case PacketType.Error:
        throw new Error(`error from sender: ${Buffer.from(packet.data).toString("utf8")}`);
    }
  }

  /** Ids to ask the sender for; each is returned once. */
  takeRequests(): readonly number[] {
    const requests = this.#requests;
    this.#requests = [];
    return requests;
  }

  finish(): ReceivedTree {
    if (!this.#changed) return { changed: false, entries: this.#previous };
    if (this.#options.metadataOnly !== undefined) this.#writeMetadata();
    const digests = this.#writer.finish();
    const entries = this.#entries.map(({ stat, digest }) => {
      const known = digest ?? digests.get(stat.path);
      if (known === undefined) throw new Error(`no digest for ${textPath(stat.path)}`);
      return { stat, digest: known };
    });
    const { previous, metadataOnly } = this.#options;
    const same = metadataOnly === undefined && previous !== undefined && sameTree(previous.entries, entries);
    return same ? { changed: false, entries: previous.entries } : { changed: true, entries };
  }

  abandon(): void {
    this.#writer.abandon();
  }

  #stat(stat: FileStat): void {
    if (this.#listed) throw new Error("file after the end of the list");
    if (this.#options.metadataOnly !== undefined) {
      // The name is ours: an entry of that name neither counts nor takes an id (fsutil does the same).
      if (stat.path === metadataFile) return;
      this.#metadata.push(frame(encodeStat(stat)));
    }
    const id = this.#nextId++;
    this.#order.add(stat);
    if (this.#exceptions === undefined) {
      this.#entry(id, stat);
      return;
    }
    while (this.#skippedParents.length > 0 && !stat.path.startsWith(`${this.#skippedParents.at(-1)?.path}/`)) {
      this.#skippedParents.pop();
    }
    if (this.#exceptions.matches(textPath(stat.path))) {
      for (const parent of this.#skippedParents.splice(0)) this.#entry(-1, parent);
      this.#entry(id, stat);
    } else if (isGoDir(stat.mode)) {
      this.#skippedParents.push(stat);
    }
  }

  #entry(id: number, stat: FileStat): void {
    const same = this.#findSame(stat);
    if (same === undefined) {
      this.#startWriting();
      this.#take(id, stat);
    } else if (this.#changed) this.#keep(stat, same);
    else this.#entries.push({ stat, digest: same.digest });
  }

  /** The entry of the earlier tree that this one equals. Both lists are in the same order. */
  #findSame(stat: FileStat): IndexedEntry | undefined {
    for (;;) {
      const candidate = this.#previous[this.#previousAt];
      if (candidate === undefined) return undefined;
      const order = comparePaths(candidate.stat.path, stat.path);
      if (order > 0) return undefined;
      // What the earlier tree has in between was deleted.
      if (order < 0) this.#startWriting();
      this.#previousAt++;
      if (order === 0) return sameEntry(candidate.stat, stat) ? candidate : undefined;
    }
  }

  #startWriting(): void {
    if (this.#changed) return;
    this.#changed = true;
    for (const { stat, digest } of this.#entries.splice(0)) {
      if (digest !== undefined) this.#keep(stat, { stat, digest });
    }
  }

  #keep(stat: FileStat, same: IndexedEntry): void {
    this.#entries.push({ stat, ...(hasContent(stat) ? { digest: same.digest } : {}) });
    if (hasContent(stat)) this.#writer.reuse(stat, same.digest, this.#options.previous?.directory ?? "");
    else this.#writer.add(stat);
  }

  #take(id: number, stat: FileStat): void {
    this.#entries.push({ stat });
    if (!hasContent(stat) || stat.size === 0) {
      this.#writer.add(stat);
      return;
    }
    this.#wanted.set(id, stat);
    this.#requests.push(id);
  }

  #data(id: number, data: Uint8Array): void {
    const stat = this.#wanted.get(id);
    if (stat === undefined) throw new Error(`invalid file request ${id}`);
    if (!this.#writer.isOpen(id)) this.#writer.begin(id, stat);
    if (data.length > 0) {
      this.#writer.write(id, data);
      return;
    }
    this.#writer.end(id);
    this.#wanted.delete(id);
  }

  #endOfList(): void {
    this.#listed = true;
    if (this.#previousAt < this.#previous.length) this.#startWriting();
  }

  #writeMetadata(): void {
    const stat: FileStat = {
      path: metadataFile,
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: 0,
      modTime: BigInt(Date.now()) * 1_000_000n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
    };
    this.#writer.begin(-1, stat);
    this.#writer.write(-1, Buffer.concat(this.#metadata));
    this.#writer.end(-1);
  }
}

function sameTree(a: readonly IndexedEntry[], b: readonly IndexedEntry[]): boolean {
  const same = (left: IndexedEntry, right: IndexedEntry | undefined): boolean =>
    left.stat.path === right?.stat.path && left.digest === right.digest && sameEntry(left.stat, right.stat);
  return a.length === b.length && a.every((entry, index) => same(entry, b[index]));
}

/** fsutil's metadata differ: a directory's time does not matter. */
function sameEntry(a: FileStat, b: FileStat): boolean {
  if (!isGoDir(a.mode) && (a.size !== b.size || a.modTime !== b.modTime)) return false;
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.devmajor === b.devmajor &&
    a.devminor === b.devminor &&
    a.linkname === b.linkname
  );
}

/** A regular file under its first name. */
function hasContent(stat: FileStat): boolean {
  return isGoRegular(stat.mode) && stat.linkname === "";
}

function frame(bytes: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(4 + bytes.length);
  framed.writeUInt32LE(bytes.length);
  framed.set(bytes, 4);
  return framed;
}
