import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { TaskBody, TaskKind, TaskResult } from "../../core/values/task.ts";
import type { FleetMetrics } from "./fleet-metrics.ts";

/** Counts how tasks end. */
export class MeteredDispatcher implements TaskDispatcher {
  readonly #inner: TaskDispatcher;
  readonly #metrics: Pick<FleetMetrics, "taskEnded">;

  constructor(inner: TaskDispatcher, metrics: Pick<FleetMetrics, "taskEnded">) {
    this.#inner = inner;
    this.#metrics = metrics;
  }

  async run<K extends TaskKind>(kind: K, body: TaskBody<K>, context: DispatchContext): Promise<TaskResult<K>> {
    let failed = true;
    try {
      const result = await this.#inner.run(kind, body, context);
      failed = false;
      return result;
    } finally {
      this.#metrics.taskEnded(kind, failed);
    }
  }
}
