import { SourceOp } from "../../api/gen/ops.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { OutputsResult, Task } from "../../core/values/task.ts";
import type { SourceHandlers } from "./source-handlers.ts";

/** `source.fetch`: brings a git, http, blob or local source into one new layer. */
export class SourceFetchOp implements OpRunner<"source.fetch"> {
  readonly kind = "source.fetch";
  readonly #handlers: SourceHandlers;

  constructor(options: { readonly handlers: SourceHandlers }) {
    this.#handlers = options.handlers;
  }

  /** `body.source` is a marshalled pb.SourceOp. */
  async run(task: Task<"source.fetch">, context: RunContext): Promise<OutputsResult> {
    const { source, resolved, compatibilityVersion } = task.body;
    const request = {
      ...SourceOp.decode(source),
      ...(compatibilityVersion === undefined ? {} : { compatibilityVersion }),
    };
    return this.#handlers.of(request).fetch(request, resolved, context);
  }
}
