import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";

/** Brings the layers of a ref to this agent. */
export class MaterializeOp implements OpRunner<"materialize"> {
  readonly kind = "materialize";

  async run({ body }: Task<"materialize">, { layers, signal }: RunContext): Promise<TaskResult<"materialize">> {
    await layers.ensure(body.ref, signal);
    return { outputs: [body.ref], layers: [] };
  }
}
