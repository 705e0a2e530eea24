import { Worker } from "node:worker_threads";
import type { JobReply, JobRequest } from "./worker-server.ts";

export interface WorkerPoolOptions {
  /** Entry file of the threads; it calls `serveJobs`. */
  readonly entry: URL;
  /** Most threads at once; default 2. Threads start when first needed. */
  readonly size?: number;
  /** A thread without work for this long ends, and with it what it remembers; default 30 s. Infinity keeps it. */
  readonly idleMs?: number;
}

export interface JobOptions {
  readonly signal?: AbortSignal;
  readonly transfer?: readonly ArrayBuffer[];
  readonly onEvent?: (event: unknown) => void;
}

/**
 * Threads for work that blocks: walking, copying, hashing. A job is a name and arguments; a thread runs its jobs in turn.
 * Aborting asks the job to stop and rejects only once it has, so its files may be taken away after that.
 * Dispose stops the threads; jobs that still run then reject. An idle pool does not keep the process alive.
 */
export class WorkerPool implements AsyncDisposable {
  readonly #entry: URL;
  readonly #size: number;
  readonly #idleMs: number;
  readonly #threads: Thread[] = [];
  #disposed = false;

  constructor(options: WorkerPoolOptions) {
    this.#entry = options.entry;
    this.#size = options.size ?? 2;
    this.#idleMs = options.idleMs ?? 30_000;
  }

  /** Runs one job on the least busy thread. */
  async run<T>(name: string, args: unknown, options: JobOptions = {}): Promise<T> {
    using lease = this.lease();
    return await lease.run<T>(name, args, options);
  }

  /** A thread for jobs that belong together because the thread keeps state for them. Others may use it too. */
  lease(): WorkerLease {
    return new WorkerLease(this.#pick(() => true));
  }

  /** As `run`, always on the same thread for the same key, while it lives. */
  async runSticky<T>(key: number, name: string, args: unknown, options: JobOptions = {}): Promise<T> {
    const slot = Math.abs(key) % this.#size;
    using lease = new WorkerLease(this.#pick((thread) => thread.slot === slot, slot));
    return await lease.run<T>(name, args, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await Promise.all(this.#threads.splice(0).map((thread) => thread.stop()));
  }

  #pick(fits: (thread: Thread) => boolean, slot = this.#freeSlot()): Thread {
    if (this.#disposed) throw new Error("Worker pool is closed");
    const candidates = this.#threads.filter(fits).sort((a, b) => a.leases - b.leases);
    const best = candidates[0];
    if (best !== undefined && (best.leases === 0 || slot === undefined || best.slot === slot)) return best;
    if (slot === undefined) throw new Error("Worker pool has no threads");
    const thread = new Thread(this.#entry, slot, this.#idleMs, () => {
      const at = this.#threads.indexOf(thread);
      if (at >= 0) this.#threads.splice(at, 1);
    });
    this.#threads.push(thread);
    return thread;
  }

  #freeSlot(): number | undefined {
    for (let slot = 0; slot < this.#size; slot++) {
      if (!this.#threads.some((thread) => thread.slot === slot)) return slot;
    }
    return undefined;
  }
}

export class WorkerLease implements Disposable {
  readonly #thread: Thread;
  #released = false;

  constructor(thread: Thread) {
    this.#thread = thread;
    thread.take();
  }

  run<T>(name: string, args: unknown, options: JobOptions = {}): Promise<T> {
    return this.#thread.run<T>(name, args, options);
  }

  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    this.#thread.giveBack();
  }
}

interface PendingJob {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onEvent: ((event: unknown) => void) | undefined;
  readonly release: () => void;
}

class Thread {
  readonly slot: number;
  #leases = 0;
  #idle: NodeJS.Timeout | undefined;
  readonly #idleMs: number;
  readonly #onEnd: () => void;
  readonly #worker: Worker;
  readonly #jobs = new Map<number, PendingJob>();
  #nextId = 0;

  /** @param onEnd called when it takes no more work; may be called twice */
  constructor(entry: URL, slot: number, idleMs: number, onEnd: () => void) {
    this.slot = slot;
    this.#idleMs = idleMs;
    this.#onEnd = onEnd;
    this.#worker = new Worker(entry);
    this.#worker.unref();
    this.#worker.on("message", (reply: JobReply) => this.#reply(reply));
    this.#worker.on("error", (error) => this.#failAll(error));
    this.#worker.on("exit", () => {
      clearTimeout(this.#idle);
      onEnd();
      this.#failAll(new Error("Worker thread stopped"));
    });
  }

  get leases(): number {
    return this.#leases;
  }

  take(): void {
    this.#leases++;
    clearTimeout(this.#idle);
  }

  giveBack(): void {
    this.#leases--;
    if (this.#leases > 0 || !Number.isFinite(this.#idleMs)) return;
    this.#idle = setTimeout(() => {
      this.#onEnd();
      void this.stop();
    }, this.#idleMs);
    this.#idle.unref();
  }

  async run<T>(name: string, args: unknown, options: JobOptions): Promise<T> {
    const { signal } = options;
    signal?.throwIfAborted();
    const cancel = signal === undefined ? undefined : new SharedArrayBuffer(4);
    const onAbort = () => {
      if (cancel !== undefined) Atomics.store(new Int32Array(cancel), 0, 1);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const id = this.#nextId++;
    if (this.#jobs.size === 0) this.#worker.ref();
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#jobs.set(id, {
          resolve: resolve as (value: unknown) => void,
          reject: (error) => reject(signal?.aborted ? signal.reason : error),
          onEvent: options.onEvent,
          release: () => {
            if (this.#jobs.size === 0) this.#worker.unref();
          },
        });
        try {
          this.#worker.postMessage({ id, name, args, cancel } satisfies JobRequest, [...(options.transfer ?? [])]);
        } catch (error) {
          this.#jobs.delete(id);
          reject(error);
        }
      });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #reply(reply: JobReply): void {
    const job = this.#jobs.get(reply.id);
    if (job === undefined) return;
    if ("event" in reply) {
      job.onEvent?.(reply.event);
      return;
    }
    this.#jobs.delete(reply.id);
    job.release();
    if ("error" in reply) {
      const { message, code } = reply.error;
      job.reject(Object.assign(new Error(message, { cause: reply.error }), code === undefined ? {} : { code }));
    } else job.resolve(reply.result);
  }

  #failAll(error: Error): void {
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const job of jobs) {
      job.release();
      job.reject(error);
    }
  }
}
