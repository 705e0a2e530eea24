import { SourceOp } from "../../api/gen/ops.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { ResolvedSource, Task } from "../../core/values/task.ts";
import type { SourceHandlers } from "./source-handlers.ts";

/** `source.resolve`: makes a git, http, blob or local source immutable. Images are resolved on the coordinator. */
export class SourceResolveOp implements OpRunner<"source.resolve"> {
  readonly kind = "source.resolve";
  readonly #handlers: SourceHandlers;

  constructor(options: { readonly handlers: SourceHandlers }) {
    this.#handlers = options.handlers;
  }

  /** `body.source` is a marshalled pb.SourceOp. */
  async run(task: Task<"source.resolve">, context: RunContext): Promise<ResolvedSource> {
    const source = SourceOp.decode(task.body.source);
    return this.#handlers.of(source).resolve(source, context, task.body);
  }
}
