import { Duplex } from "node:stream";
import type { ProcessIo } from "../../core/seams/executor.ts";
import { AsyncQueue } from "../../util/async-queue.ts";

/** Chunks on their way to the process before a writer waits. */
const stdinChunks = 4;

/**
 * The stdin and stdout of a process as one byte stream. It is read only as fast as its reader reads. The process's owner tells
 * when it has ended.
 */
export class ProcessDuplex extends Duplex {
  readonly #stdin = new AsyncQueue<Uint8Array>(stdinChunks);
  #room = Promise.withResolvers<void>();

  constructor() {
    super({ readableHighWaterMark: 256 << 10, writableHighWaterMark: 256 << 10 });
  }

  /** For the process. @param stderr gets what is no part of the stream */
  io(stderr: ProcessIo["stderr"]): ProcessIo {
    return { stdin: this.#stdin, stdout: (data) => this.#receive(data), stderr };
  }

  /** Nothing more will come from the process. */
  processEnded(): void {
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#stdin.push(chunk).then((taken) => done(taken ? null : new Error("process has ended")), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stdin.end();
    this.#room.resolve();
    done(error);
  }

  async #receive(data: Uint8Array): Promise<void> {
    if (this.destroyed) return;
    const { promise } = this.#room;
    if (!this.push(data)) await promise;
  }
}
