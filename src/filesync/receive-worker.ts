import type { Digest } from "../core/values/digest.ts";
import { type BytePath, serveJobs } from "../filesystem/index.ts";
import { type MessageBatch, unpackMessages } from "./message-batch.ts";
import { readTreeIndex, writeTreeIndex } from "./tree-index.ts";
import { TreeReceiver, type TreeReceiverOptions } from "./tree-receiver.ts";

export interface BeginJob extends Omit<TreeReceiverOptions, "previous"> {
  readonly handle: number;
  readonly previous?: { readonly directory: BytePath; readonly indexFile: string };
}

export interface PushJob {
  readonly handle: number;
  readonly batch: MessageBatch;
}

export interface PushResult {
  readonly requests: readonly number[];
  readonly complete: boolean;
}

export interface FinishJob {
  readonly handle: number;
  /** Where the list of entries is kept for the next transfer. */
  readonly indexFile?: string;
}

export interface FinishResult {
  readonly changed: boolean;
  readonly entries: number;
  readonly paths: readonly BytePath[];
  readonly digests: readonly Digest[];
}

const receivers = new Map<number, TreeReceiver>();

function receiverOf(handle: number): TreeReceiver {
  const receiver = receivers.get(handle);
  if (receiver === undefined) throw new Error("transfer has ended");
  return receiver;
}

serveJobs({
  begin({ handle, previous, ...options }: BeginJob): void {
    const entries = previous === undefined ? undefined : readTreeIndex(previous.indexFile);
    receivers.set(
      handle,
      new TreeReceiver(
        previous === undefined || entries === undefined
          ? options
          : { ...options, previous: { directory: previous.directory, entries } },
      ),
    );
  },

  push({ handle, batch }: PushJob): PushResult {
    const receiver = receiverOf(handle);
    for (const message of unpackMessages(batch)) receiver.push(message);
    return { requests: receiver.takeRequests(), complete: receiver.complete };
  },

  finish({ handle, indexFile }: FinishJob): FinishResult {
    const { changed, entries } = receiverOf(handle).finish();
    receivers.delete(handle);
    if (changed && indexFile !== undefined) writeTreeIndex(indexFile, entries);
    return {
      changed,
      entries: entries.length,
      paths: entries.map(({ stat }) => stat.path),
      digests: entries.map(({ digest }) => digest),
    };
  },

  abandon(handle: number): void {
    receivers.get(handle)?.abandon();
    receivers.delete(handle);
  },
});
