import { closeSync, openSync, readSync } from "node:fs";
import { attempt, type BytePath, fsPath, isMissing, type JobContext, serveJobs } from "../filesystem/index.ts";
import { listTrees } from "./list-trees.ts";
import { type MessageBatch, packMessages } from "./message-batch.ts";
import { encodeData, encodeStatPacket } from "./packet.ts";
import type { SourceEntry, SourceTree } from "./source-tree.ts";

export interface ListJob {
  readonly trees: readonly SourceTree[];
}

/** A run of STAT packets, and for each the bytes it stands for. */
export interface ListedBatch {
  readonly batch: MessageBatch;
  readonly contents: readonly SourceEntry["content"][];
}

export interface ReadJob {
  readonly files: readonly WantedFile[];
  /** Stop after about this much; at least one block is read. */
  readonly maxBytes: number;
}

export interface WantedFile {
  readonly id: number;
  readonly file: BytePath;
  readonly offset: number;
}

export interface ReadResult {
  /** DATA packets. */
  readonly batch: MessageBatch;
  /** What is left: the rest of a file first, then files not begun. */
  readonly remaining: readonly WantedFile[];
}

const entriesPerBatch = 512;
/** Small enough for a peer whose message limit is gRPC's default of 4 MiB. */
const blockBytes = 256 << 10;

serveJobs({
  list({ trees }: ListJob, context: JobContext): void {
    let messages: Uint8Array[] = [];
    let contents: SourceEntry["content"][] = [];
    const flush = () => {
      const batch = packMessages(messages);
      context.emit({ batch, contents } satisfies ListedBatch, [batch.buffer]);
      messages = [];
      contents = [];
    };
    listTrees(trees, (entry) => {
      context.checkCancelled();
      messages.push(encodeStatPacket(entry.stat));
      contents.push(entry.content);
      if (messages.length >= entriesPerBatch) flush();
    });
    flush();
  },

  /** Only finds out whether the trees can be sent together. */
  check({ trees }: ListJob, context: JobContext): void {
    listTrees(trees, context.checkCancelled);
  },

  read({ files, maxBytes }: ReadJob, context: JobContext): ReadResult {
    const messages: Uint8Array[] = [];
    const remaining = [...files];
    const block = Buffer.allocUnsafe(blockBytes);
    for (let bytes = 0; bytes < maxBytes; ) {
      const next = remaining.shift();
      if (next === undefined) break;
      let { offset } = next;
      const fd = openIfThere(next.file);
      if (fd !== undefined) {
        try {
          let length = blockBytes;
          // A file with a tail shorter than a block needs no second read to see its end.
          while (length === blockBytes && bytes < maxBytes) {
            context.checkCancelled();
            length = attempt("read", next.file, () => readSync(fd, block, 0, blockBytes, offset));
            if (length > 0) messages.push(encodeData(next.id, block.subarray(0, length)));
            offset += length;
            bytes += length;
          }
          if (length === blockBytes) {
            remaining.unshift({ ...next, offset });
            continue;
          }
        } finally {
          closeSync(fd);
        }
      }
      messages.push(encodeData(next.id, new Uint8Array(0)));
      bytes += 1024;
    }
    return { batch: packMessages(messages), remaining };
  },
});

/** A file that vanished since it was listed is sent as empty, as fsutil does. */
function openIfThere(path: BytePath): number | undefined {
  try {
    return attempt("open", path, () => openSync(fsPath(path), "r"));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
