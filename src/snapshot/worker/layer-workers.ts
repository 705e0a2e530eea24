import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { AsyncQueue } from "../../util/async-queue.ts";
import { Semaphore } from "../../util/semaphore.ts";
import type { JobArgs, JobKind, JobResult } from "./jobs.ts";
import { type FromWorker, fromThreadError, type ToWorker, windowChunks } from "./messages.ts";

export interface LayerWorkersOptions {
  /** Jobs of one lane at a time; threads are started when first needed. Default: one per core, at least 2. */
  readonly maxThreadsPerLane?: number;
  /** A thread without a job for this long ends; default 30 s. */
  readonly idleMs?: number;
}

/**
 * Jobs wait for their own kind only. With one queue for all, two agents that unpack what the other should pack would wait for
 * each other for ever, and a slow reader of a layer would hold up the commit of a step.
 */
type Lane = "local" | "writing" | "reading";

const lanes: Readonly<Record<JobKind, Lane>> = {
  seal: "local",
  materialize: "local",
  compare: "local",
  settle: "local",
  remove: "local",
  pack: "writing",
  repack: "reading",
  unpack: "reading",
};

export interface JobIo {
  /** Bytes for jobs that read a stream. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Takes the bytes of jobs that write a stream, one chunk after the other; a promise holds the job back. */
  readonly output?: (chunk: Uint8Array) => unknown;
  /** Abort kills the thread; files it was writing stay half-written and are the caller's to remove. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Threads for work on whole layers: walking, comparing, packing and unpacking use synchronous file calls, which are several
 * times faster than asynchronous ones but must not run on the event loop. Idle threads do not keep the process alive.
 */
export class LayerWorkers implements AsyncDisposable {
  readonly #slots: Readonly<Record<Lane, Semaphore>>;
  /** With the timer that ends each. */
  readonly #idle: { readonly worker: Worker; readonly timer: NodeJS.Timeout }[] = [];
  readonly #idleMs: number;
  readonly #all = new Set<Worker>();
  #closed = false;

  constructor(options: LayerWorkersOptions = {}) {
    const max = options.maxThreadsPerLane ?? Math.max(2, availableParallelism());
    this.#idleMs = options.idleMs ?? 30_000;
    this.#slots = { local: new Semaphore(max), writing: new Semaphore(max), reading: new Semaphore(max) };
  }

  async run<K extends JobKind>(kind: K, args: JobArgs<K>, io: JobIo = {}): Promise<JobResult<K>> {
    const slot = this.#slots[lanes[kind]];
    await slot.acquire(io.signal);
    try {
      if (this.#closed) throw new BuildError(Code.Unavailable, "layer workers are closed");
      const worker = this.#awake() ?? this.#start();
      worker.ref();
      return await this.#runOn(worker, kind, args, io);
    } finally {
      slot.release();
    }
  }

  /** Runs a job for its output. Ending the iteration early kills the job. `result` settles after the last chunk. */
  stream<K extends JobKind>(
    kind: K,
    args: JobArgs<K>,
    io: Omit<JobIo, "output"> = {},
  ): { readonly chunks: AsyncIterable<Uint8Array>; readonly result: Promise<JobResult<K>> } {
    const queue = new AsyncQueue<Uint8Array>(windowChunks);
    const stop = new AbortController();
    const signal = io.signal === undefined ? stop.signal : AbortSignal.any([io.signal, stop.signal]);
    const output = async (chunk: Uint8Array) => {
      if (!(await queue.push(chunk))) stop.abort(new BuildError(Code.Canceled, "reader of the layer stream has gone"));
    };
    const result = this.run(kind, args, { ...io, output, signal });
    result.then(
      () => queue.end(),
      (error) => queue.fail(error),
    );
    return { chunks: untilStopped(queue, stop), result };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  #start(): Worker {
    const worker = new Worker(workerUrl());
    this.#all.add(worker);
    // Errors of a running job are seen by its own listener; an idle thread that dies is simply gone.
    worker.on("error", () => {});
    worker.once("exit", () => {
      this.#all.delete(worker);
      this.#forgetIdle(worker);
    });
    return worker;
  }

  #awake(): Worker | undefined {
    const last = this.#idle.pop();
    clearTimeout(last?.timer);
    return last?.worker;
  }

  #forgetIdle(worker: Worker): void {
    const at = this.#idle.findIndex((idle) => idle.worker === worker);
    if (at < 0) return;
    clearTimeout(this.#idle[at]?.timer);
    this.#idle.splice(at, 1);
  }

  #release(worker: Worker): void {
    if (!this.#all.has(worker)) return;
    worker.unref();
    const timer = setTimeout(() => {
      this.#forgetIdle(worker);
      void worker.terminate();
    }, this.#idleMs);
    timer.unref();
    this.#idle.push({ worker, timer });
  }

  async #runOn<K extends JobKind>(worker: Worker, kind: K, args: JobArgs<K>, io: JobIo): Promise<JobResult<K>> {
    const send = (message: ToWorker) => worker.postMessage(message);
    const input = new InputPump(send, io.input);
    const outcome = Promise.withResolvers<unknown>();
    let delivered: Promise<void> = Promise.resolve();
    let killed = false;
    const kill = (reason: unknown) => {
      killed = true;
      worker.terminate().then(() => outcome.reject(reason));
    };
    const onAbort = () => kill(io.signal?.reason);
    const onExit = () => {
      if (!killed) outcome.reject(new BuildError(Code.Internal, `Layer worker died during ${kind}`));
    };
    const onError = (error: unknown) => {
      if (!killed) outcome.reject(error);
    };
    const onMessage = (message: FromWorker) => {
      switch (message.type) {
        case "output":
          delivered = delivered.then(async () => {
            await io.output?.(message.chunk);
            send({ type: "credit" });
          });
          delivered.catch((error) => kill(error));
          break;
        case "credit":
          input.credit();
          break;
        case "done":
          // The job is over when its last chunk has been taken, not when it has been made.
          delivered.then(
            () => outcome.resolve(message.result),
            () => {},
          );
          break;
        case "failed":
          outcome.reject(fromThreadError(message.error));
          break;
      }
    };
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    io.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      send({ type: "job", kind, args });
      input.run().catch((error) => kill(error));
      return (await outcome.promise) as JobResult<K>;
    } finally {
      input.stop();
      io.signal?.removeEventListener("abort", onAbort);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      if (!killed) this.#release(worker);
    }
  }
}

/** Feeds a job's input, at most `windowChunks` ahead of it. */
class InputPump {
  readonly #send: (message: ToWorker) => void;
  readonly #input: AsyncIterable<Uint8Array> | undefined;
  #credits = windowChunks;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(send: (message: ToWorker) => void, input: AsyncIterable<Uint8Array> | undefined) {
    this.#send = send;
    this.#input = input;
  }

  async run(): Promise<void> {
    if (this.#input === undefined) return;
    for await (const chunk of this.#input) {
      while (this.#credits === 0 && !this.#stopped) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#stopped) return;
      this.#credits--;
      this.#send({ type: "input", chunk });
    }
    if (!this.#stopped) this.#send({ type: "input-end" });
  }

  credit(): void {
    this.#credits++;
    this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }
}

async function* untilStopped(chunks: AsyncIterable<Uint8Array>, stop: AbortController): AsyncGenerator<Uint8Array> {
  let ended = false;
  try {
    yield* chunks;
    ended = true;
  } finally {
    if (!ended) stop.abort(new BuildError(Code.Canceled, "reader of the layer stream has gone"));
  }
}

/** The thread's entry: beside this file from source, `layer-worker.mjs` beside the bundle. */
function workerUrl(): URL {
  const source = import.meta.url.endsWith(".ts");
  return new URL(source ? "./layer-worker.ts" : "./layer-worker.mjs", import.meta.url);
}
