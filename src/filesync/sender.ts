import { WorkerPool } from "../filesystem/index.ts";
import { AsyncQueue } from "../util/async-queue.ts";
import type { Duplex } from "./duplex.ts";
import { unpackMessages } from "./message-batch.ts";
import { decodePacket, encodeData, encodeError, encodeFin, encodeStatPacket, PacketType } from "./packet.ts";
import type { ListedBatch, ReadJob, ReadResult, WantedFile } from "./send-worker.ts";
import type { SourceEntry, SourceTree } from "./source-tree.ts";

export interface FileSenderOptions {
  /** Threads that walk and read; default 2. */
  readonly threads?: number;
  /** Entry file of the threads, where it is not beside the sources. */
  readonly workerEntry?: URL;
}

export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Bytes sent so far. */
  readonly onProgress?: (bytes: number) => void;
}

export interface Sent {
  readonly bytes: number;
  readonly entries: number;
}

const readBytes = 4 << 20;

/** Sends file trees over the fsutil protocol (vendored tonistiigi/fsutil send.go). Dispose stops the threads. */
export class FileSender implements AsyncDisposable {
  readonly #pool: WorkerPool;

  constructor(options: FileSenderOptions = {}) {
    this.#pool = new WorkerPool({
      entry: options.workerEntry ?? new URL("./send-worker.ts", import.meta.url),
      ...(options.threads === undefined ? {} : { size: options.threads }),
    });
  }

  /**
   * Runs one transfer until the receiver has all it wants; a call that we opened is then read to its end.
   * @throws Error `error from receiver: …`; what the stream throws
   */
  async send(stream: Duplex, trees: readonly SourceTree[], options: SendOptions = {}): Promise<Sent> {
    const transfer = new SendTransfer(stream, this.#pool, options);
    return transfer.run(trees);
  }

  /**
   * Walks trees that go to the same place one by one.
   * @throws Error `cannot overwrite …` when two without a prefix have the same file
   */
  async check(trees: readonly SourceTree[], signal: AbortSignal): Promise<void> {
    await this.#pool.run<void>("check", { trees }, { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

class SendTransfer {
  readonly #stream: Duplex;
  readonly #pool: WorkerPool;
  readonly #onProgress: ((bytes: number) => void) | undefined;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #listed = new AsyncQueue<ListedBatch>();
  readonly #requested = new AsyncQueue<number>();
  /** By id; emptied as they are asked for. */
  readonly #contents: SourceEntry["content"][] = [];
  #bytes = 0;
  #entries = 0;

  constructor(stream: Duplex, pool: WorkerPool, options: SendOptions) {
    this.#stream = stream;
    this.#pool = pool;
    this.#onProgress = options.onProgress;
    this.#signal =
      options.signal === undefined ? this.#abort.signal : AbortSignal.any([options.signal, this.#abort.signal]);
  }

  async run(trees: readonly SourceTree[]): Promise<Sent> {
    const parts = [this.#walk(trees), this.#sendList(), this.#sendData(), this.#receive()];
    let first: Error | undefined;
    const watched = parts.map((part) =>
      part.catch((error: unknown) => {
        if (first !== undefined) return;
        first = error instanceof Error ? error : new Error(String(error));
        this.#stop(first);
      }),
    );
    await Promise.all(watched);
    if (first !== undefined) throw first;
    return { bytes: this.#bytes, entries: this.#entries };
  }

  #stop(error: Error): void {
    this.#abort.abort(error);
    this.#listed.fail(error);
    this.#requested.fail(error);
    this.#stream.send(encodeError(error.message)).catch(() => {});
  }

  async #walk(trees: readonly SourceTree[]): Promise<void> {
    await this.#pool.run<void>(
      "list",
      { trees },
      { signal: this.#signal, onEvent: (event) => this.#listed.offer(event as ListedBatch) },
    );
    this.#listed.end();
  }

  async #sendList(): Promise<void> {
    for await (const { batch, contents } of this.#listed) {
      this.#contents.push(...contents);
      this.#entries += contents.length;
      for (const message of unpackMessages(batch)) await this.#send(message);
    }
    await this.#send(encodeStatPacket(undefined));
  }

  async #receive(): Promise<void> {
    let finished = false;
    try {
      for await (const message of this.#stream.messages) {
        this.#signal.throwIfAborted();
        const packet = decodePacket(message);
        if (packet.type === PacketType.Error) {
          throw new Error(`error from receiver: ${Buffer.from(packet.data).toString("utf8")}`);
        }
        if (packet.type === PacketType.Request) this.#requested.offer(packet.id);
        if (packet.type === PacketType.Fin) {
          this.#requested.end();
          await this.#send(encodeFin());
          finished = true;
          // The side that serves the call ends it by returning; the other half-closes and reads the status.
          if (this.#stream.closeSend === undefined) return;
          this.#stream.closeSend();
        }
      }
      if (!finished) throw new Error("receiver went away before it had all files");
    } catch (error) {
      throw this.#signal.aborted ? this.#signal.reason : error;
    }
  }

  async #sendData(): Promise<void> {
    let waiting: WantedFile[] = [];
    const requests = this.#requested[Symbol.asyncIterator]();
    for (;;) {
      if (waiting.length === 0 || this.#requested.size > 0) {
        const next = await requests.next();
        if (next.done) return;
        const wanted = await this.#take(next.value);
        if (wanted !== undefined) waiting.push(wanted);
        if (this.#requested.size > 0 && waiting.length < 1024) continue;
      }
      if (waiting.length === 0) continue;
      const job: ReadJob = { files: waiting, maxBytes: readBytes };
      const { batch, remaining } = await this.#pool.run<ReadResult>("read", job, { signal: this.#signal });
      for (const message of unpackMessages(batch)) await this.#send(message);
      waiting = [...remaining];
    }
  }

  /** Sends what is at hand already; @returns a file to be read */
  async #take(id: number): Promise<WantedFile | undefined> {
    const content = this.#contents[id];
    if (content === undefined) throw new Error(`invalid file id ${id}`);
    this.#contents[id] = undefined;
    if ("file" in content) return { id, file: content.file, offset: 0 };
    if (content.data.length > 0) await this.#send(encodeData(id, content.data));
    await this.#send(encodeData(id, new Uint8Array(0)));
    return undefined;
  }

  async #send(message: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#stream.send(message);
    this.#bytes += message.length;
    this.#onProgress?.(this.#bytes);
  }
}
