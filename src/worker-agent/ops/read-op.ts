import { ReadDirResponse } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { MountRead } from "../../core/values/container-messages.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { bytePath, WorkerPool } from "../../filesystem/index.ts";
import type { ReadJob } from "../../filesystem/read-worker.ts";

export interface ReadRunnerOptions {
  /** Threads that read; default 1. */
  readonly threads?: number;
  /** Entry file of the threads, where it is not beside the sources. */
  readonly workerEntry?: URL;
}

/** ReadFile, ReadDir and StatFile of the gateway on an agent that has the layers (BuildKit cache/util/fsutil.go). */
export class ReadRunner implements OpRunner<"read">, AsyncDisposable {
  readonly kind = "read";
  readonly #pool: WorkerPool;

  constructor(options: ReadRunnerOptions = {}) {
    this.#pool = new WorkerPool({
      entry: options.workerEntry ?? new URL("../../filesystem/read-worker.ts", import.meta.url),
      size: options.threads ?? 1,
    });
  }

  async run(task: Task<"read">, context: RunContext): Promise<TaskResult<"read">> {
    const { body } = task;
    await using view = await context.layers.view(body.ref, context.signal);
    return { data: await this.read(view.path, body, context.signal) };
  }

  /** As the task, below a directory of this machine. */
  async read(root: string, body: MountRead, signal: AbortSignal): Promise<Uint8Array> {
    const job: ReadJob = {
      root: bytePath(root),
      path: body.path,
      ...(body.op === "file" ? { offset: body.offset, length: body.length } : {}),
      ...(body.op === "dir" ? { includePattern: body.includePattern } : {}),
    };
    try {
      if (body.op !== "dir") return await this.#pool.run<Uint8Array>(body.op, job, { signal });
      const entries = await this.#pool.run<ReadDirResponse["entries"]>("dir", job, { signal });
      return ReadDirResponse.encode({ entries }).finish();
    } catch (error) {
      signal.throwIfAborted();
      throw BuildError.from(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
