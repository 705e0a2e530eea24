import { BuildError } from "../../core/errors/build-error.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { bytePath, WorkerPool } from "../../filesystem/index.ts";
import type { ListFilesJob } from "./list-files-worker.ts";

/** Lists regular files for attestations, in the order of a transfer. Dispose stops its thread. */
export class ListFilesRunner implements OpRunner<"list.files">, AsyncDisposable {
  readonly kind = "list.files";
  readonly #pool: WorkerPool;

  constructor(workerEntry: URL = new URL("./list-files-worker.ts", import.meta.url)) {
    this.#pool = new WorkerPool({ entry: workerEntry, size: 1 });
  }

  async run(task: Task<"list.files">, context: RunContext): Promise<TaskResult<"list.files">> {
    const { ref, digests } = task.body;
    if (ref.layers.length === 0) return { files: [] };
    await using view = await context.layers.view(ref, context.signal);
    const job: ListFilesJob = { root: bytePath(view.path), digests };
    try {
      return { files: await this.#pool.run("files", job, { signal: context.signal }) };
    } catch (error) {
      context.signal.throwIfAborted();
      throw BuildError.from(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
