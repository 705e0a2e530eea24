import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { CacheMountUse, PublishedCacheMount } from "../../core/values/cache-mount.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { type CacheMountAccess, cacheMountSources, copyCacheMount } from "./exec/step-cache-mounts.ts";

/** Brings the layers of a ref to this agent, and cache mounts. */
export class MaterializeOp implements OpRunner<"materialize"> {
  readonly kind = "materialize";
  readonly #mounts: CacheMountAccess;

  constructor(mounts: CacheMountAccess) {
    this.#mounts = mounts;
  }

  async run(task: Task<"materialize">, context: RunContext): Promise<TaskResult<"materialize">> {
    const { ref, cacheMounts: uses = [] } = task.body;
    await context.layers.ensure(ref, context.signal);
    const cacheMounts = await this.#copies(uses, task, context);
    return { outputs: [ref], layers: [], cacheMounts };
  }

  async #copies(
    uses: readonly CacheMountUse[],
    task: Task,
    context: RunContext,
  ): Promise<readonly PublishedCacheMount[]> {
    const sources = cacheMountSources(this.#mounts, task, context);
    const copies: PublishedCacheMount[] = [];
    for (const use of uses) {
      const copy = await copyCacheMount(sources, use, context.signal);
      if (copy !== undefined) copies.push(copy);
    }
    return copies;
  }
}
