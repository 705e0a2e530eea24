import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { TaskBody, TaskKind, TaskResult } from "../../core/values/task.ts";
import { inSpan } from "../../telemetry/index.ts";

/** One span per task from the wish for it to its result; placing, retries and the agent's own spans lie within. */
export class TracingDispatcher implements TaskDispatcher {
  readonly #inner: TaskDispatcher;

  constructor(inner: TaskDispatcher) {
    this.#inner = inner;
  }

  async run<K extends TaskKind>(kind: K, body: TaskBody<K>, context: DispatchContext): Promise<TaskResult<K>> {
    const { vertex } = context;
    const attributes = { "task.kind": kind, ...(vertex === undefined ? {} : { vertex: vertex.digest }) };
    return inSpan(`dispatch ${kind}`, { parent: context.traceparent, attributes }, ({ traceparent }) =>
      this.#inner.run(kind, body, traceparent === undefined ? context : { ...context, traceparent }),
    );
  }
}
