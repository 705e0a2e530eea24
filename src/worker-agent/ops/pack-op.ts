import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";

/** Cuts layers into blobs; all of the task at the same time. */
export class PackOp implements OpRunner<"pack"> {
  readonly kind = "pack";

  async run({ body }: Task<"pack">, { layers, signal }: RunContext): Promise<TaskResult<"pack">> {
    const packed = await allOrAbort(body.layers, signal, (id, both) => layers.pack(id, body.compression, both));
    return { layers: packed.map(({ info }) => info), descriptors: packed.map(({ descriptor }) => descriptor) };
  }
}
