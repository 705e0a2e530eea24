import { subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { randomId } from "../../core/values/random-id.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { decode, encode } from "../../util/msgpack.ts";
import { decodeStatusLog, encodeStatusLog } from "./status-log.ts";

/** How long a reader is kept waiting for the next piece; then it asks again. */
const holdMs = 5000;
/** A coordinator that answers nothing for this long is gone. */
const answerMs = 3 * holdMs;
/** A reader that asks no more for this long is gone. */
const readerIdleMs = 60_000;

/** Reads the progress of a build from its start. */
export type ProgressSource = (signal: AbortSignal) => AsyncIterable<SolveProgress>;

interface PieceRequest {
  readonly ref: string;
  /** The same for all pieces of one reader, which asks for one after the other. */
  readonly reader: string;
}

/** The next piece of a status log, maybe empty; none: the log is complete, or what hinders. */
interface Piece {
  readonly log?: Uint8Array;
  readonly error?: string;
}

export interface RunningLogsOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  /** A build that runs here. */
  readonly find: (ref: string) => ProgressSource | undefined;
}

/**
 * Logs of running builds between coordinators (ADR-0018). Readers ask for one piece after the other, so that a slow one holds
 * up nobody, and a lost coordinator is noticed.
 */
export class RunningLogs implements Disposable {
  readonly #options: RunningLogsOptions;
  readonly #readers = new Map<string, LogReader>();
  readonly #subscription: Disposable;

  constructor(options: RunningLogsOptions) {
    this.#options = options;
    this.#subscription = options.bus.subscribe(subjects.runningLog(options.coordinatorId), (message) => {
      const respond = (piece: Piece) => message.respond(encode(piece));
      this.#next(decode<PieceRequest>(message.data)).then(respond, (error) =>
        respond({ error: BuildError.from(error).message }),
      );
    });
  }

  /** The progress of a build that runs at another coordinator. @throws BuildError Unavailable when that one is lost */
  read(coordinatorId: string, ref: string, signal: AbortSignal): AsyncIterable<SolveProgress> {
    return decodeStatusLog(this.#pieces(coordinatorId, { ref, reader: randomId() }, signal));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    for (const reader of this.#readers.values()) reader[Symbol.dispose]();
    this.#readers.clear();
  }

  async *#pieces(coordinatorId: string, request: PieceRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const subject = subjects.runningLog(coordinatorId);
    for (;;) {
      const piece = await this.#options.bus
        .request(subject, encode(request), { timeoutMs: answerMs, signal })
        .then((answer) => decode<Piece>(answer));
      if (piece.error !== undefined) throw new BuildError(Code.Unavailable, piece.error);
      if (piece.log === undefined) return;
      yield piece.log;
    }
  }

  async #next({ ref, reader: id }: PieceRequest): Promise<Piece> {
    let reader = this.#readers.get(id);
    if (reader === undefined) {
      const source = this.#options.find(ref);
      if (source === undefined) throw new BuildError(Code.NotFound, `build ${ref} does not run here any more`);
      reader = new LogReader(source, () => this.#readers.delete(id));
      this.#readers.set(id, reader);
    }
    const log = await reader.next();
    if (log === undefined) reader[Symbol.dispose]();
    return log === undefined ? {} : { log };
  }
}

/** One reader of another coordinator. */
class LogReader implements Disposable {
  readonly #stop = new AbortController();
  readonly #progress: AsyncIterator<SolveProgress>;
  readonly #onEnd: () => void;
  #pending: Promise<IteratorResult<SolveProgress>> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(source: ProgressSource, onEnd: () => void) {
    this.#progress = source(this.#stop.signal)[Symbol.asyncIterator]();
    this.#onEnd = onEnd;
  }

  /** @returns an empty piece when there is nothing new for a while; undefined at the end */
  async next(): Promise<Uint8Array | undefined> {
    clearTimeout(this.#idle);
    this.#pending ??= this.#progress.next();
    let timer: NodeJS.Timeout | undefined;
    const held = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), holdMs);
    });
    try {
      const result = await Promise.race([this.#pending, held]);
      if (result === undefined) return new Uint8Array();
      this.#pending = undefined;
      return result.done === true ? undefined : Buffer.concat([...encodeStatusLog(result.value)]);
    } finally {
      clearTimeout(timer);
      this.#idle = setTimeout(() => this[Symbol.dispose](), readerIdleMs).unref();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#idle);
    this.#pending?.catch(() => {});
    this.#stop.abort();
    this.#onEnd();
  }
}
