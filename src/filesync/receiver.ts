import type { Digest } from "../core/values/digest.ts";
import { type BytePath, bytePath, WorkerPool } from "../filesystem/index.ts";
import type { Duplex } from "./duplex.ts";
import { encodeError, encodeFin, encodeRequest, PacketType } from "./packet.ts";
import type { BeginJob, FinishJob, FinishResult, PushJob, PushResult } from "./receive-worker.ts";
import { BatchBuffers, type SharedBatch } from "./shared-batch.ts";

export interface FileReceiverOptions {
  /** Threads that write and hash; default 2. Transfers share them. */
  readonly threads?: number;
  /** Entry file of the threads, where it is not beside the sources. */
  readonly workerEntry?: URL;
}

export interface ReceiveOptions {
  /** Empty directory to fill. */
  readonly directory: string;
  /** The tree that the last transfer left, and its index: files which did not change are taken from there. */
  readonly previous?: { readonly directory: string; readonly indexFile: string };
  readonly differ: "metadata" | "none";
  readonly metadataOnly?: { readonly exceptions: readonly string[] };
  /** Where to keep the new tree's index; written only when something changed. */
  readonly indexFile?: string;
  /** Bytes received so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface Received {
  /** False: the earlier tree is what the sender has; the directory is still empty. */
  readonly changed: boolean;
  readonly entries: number;
  readonly bytes: number;
  /** Content digest of every entry. */
  readonly digests: ReadonlyMap<BytePath, Digest>;
}

/** Batches that wait for the disk before the peer's window is left to fill. */
const maxBacklog = 16;

/**
 * Receives file trees over the fsutil protocol. Decoding, comparing, writing and hashing happen in threads; this side moves
 * packets in batches. Dispose stops the threads.
 */
export class FileReceiver implements AsyncDisposable {
  readonly #pool: WorkerPool;
  #nextHandle = 0;

  constructor(options: FileReceiverOptions = {}) {
    this.#pool = new WorkerPool({
      entry: options.workerEntry ?? new URL("./receive-worker.ts", import.meta.url),
      ...(options.threads === undefined ? {} : { size: options.threads }),
    });
  }

  /**
   * Runs one transfer to its end. The peer is told when it fails here. The stream stays the caller's to close; its messages
   * have been read to the end on success.
   */
  async receive(stream: Duplex, options: ReceiveOptions): Promise<Received> {
    const handle = this.#nextHandle++;
    using lease = this.#pool.lease();
    await lease.run<void>("begin", beginJob(handle, options));
    let done = false;
    try {
      const { bytes } = await pump(stream, options, (batch) =>
        lease.run<PushResult>("push", { handle, batch: batch.content } satisfies PushJob),
      );
      const job: FinishJob = { handle, ...(options.indexFile === undefined ? {} : { indexFile: options.indexFile }) };
      const result = await lease.run<FinishResult>("finish", job);
      done = true;
      return {
        changed: result.changed,
        entries: result.entries,
        bytes,
        digests: new Map(result.paths.map((path, i) => [path, result.digests[i] as Digest])),
      };
    } finally {
      if (!done) await lease.run("abandon", handle).catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

function beginJob(handle: number, options: ReceiveOptions): BeginJob {
  return {
    handle,
    root: bytePath(options.directory),
    differ: options.differ,
    ...(options.metadataOnly === undefined ? {} : { metadataOnly: options.metadataOnly }),
    ...(options.previous === undefined
      ? {}
      : { previous: { directory: bytePath(options.previous.directory), indexFile: options.previous.indexFile } }),
  };
}

type Push = (batch: SharedBatch) => Promise<PushResult>;

/** Moves packets to the thread and its requests to the peer, until both sides have said FIN. */
async function pump(stream: Duplex, options: ReceiveOptions, push: Push): Promise<{ readonly bytes: number }> {
  const transfer = new Transfer(stream, push);
  try {
    for await (const message of stream.messages) {
      options.signal?.throwIfAborted();
      if (message[0] === 8 && message[1] === PacketType.Fin) {
        if (!transfer.finSent) throw new Error("sender finished before all files were received");
        transfer.finReceived = true;
        continue;
      }
      await transfer.add(message);
      options.onProgress?.(transfer.bytes);
    }
    options.signal?.throwIfAborted();
    await transfer.settle();
    if (!transfer.finReceived) throw new Error("transfer ended before it was complete");
  } catch (error) {
    transfer.fail(error);
    // A peer which was told of our failure answers with one of its own; ours is the cause.
    throw transfer.failure ?? error;
  }
  return { bytes: transfer.bytes };
}

class Transfer {
  readonly #stream: Duplex;
  readonly #push: Push;
  readonly #buffers = new BatchBuffers();
  #batch: SharedBatch | undefined;
  #scheduled = false;
  /** Pushes run in order in the thread; requests follow each other on the stream. */
  readonly #pushes = new Set<Promise<void>>();
  #sending: Promise<void> = Promise.resolve();
  finSent = false;
  finReceived = false;
  bytes = 0;
  failure: Error | undefined;

  constructor(stream: Duplex, push: Push) {
    this.#stream = stream;
    this.#push = push;
  }

  async add(message: Uint8Array): Promise<void> {
    this.#throwIfFailed();
    this.bytes += message.length;
    if (this.#batch?.fits(message) === false) this.#flush();
    this.#batch ??= this.#buffers.take(message.length);
    this.#batch.add(message);
    if (!this.#scheduled) {
      // Small packets that arrive together share a batch; a lone one does not wait.
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    while (this.#pushes.size > maxBacklog && this.failure === undefined) await Promise.race(this.#pushes);
    this.#throwIfFailed();
  }

  async settle(): Promise<void> {
    this.#flush();
    await Promise.all(this.#pushes);
    await this.#sending;
    this.#throwIfFailed();
  }

  #flush(): void {
    const batch = this.#batch;
    if (batch === undefined || this.failure !== undefined) return;
    this.#batch = undefined;
    const pushed = this.#push(batch)
      .then((result) => this.#answer(result))
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#buffers.giveBack(batch);
        this.#pushes.delete(pushed);
      });
    this.#pushes.add(pushed);
  }

  /** The peer may read requests only while we read its data, so sending never holds up reading. */
  #answer(result: PushResult): void {
    if (result.requests.length === 0 && !result.complete) return;
    this.#sending = this.#sending
      .then(async () => {
        for (const id of result.requests) await this.#stream.send(encodeRequest(id));
        if (!result.complete || this.finSent) return;
        this.finSent = true;
        await this.#stream.send(encodeFin());
      })
      .catch((error: unknown) => this.fail(error));
  }

  /** Ends the transfer. The peer may be waiting for us, so it is told at once. */
  fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = error instanceof Error ? error : new Error(String(error));
    this.#stream.send(encodeError(this.failure.message)).catch(() => {});
  }

  #throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
