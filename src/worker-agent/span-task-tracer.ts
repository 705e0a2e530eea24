import type { Task } from "../core/values/task.ts";
import { inSpan } from "../telemetry/index.ts";
import type { TaskTracer } from "./task-tracer.ts";

/** Runs each task in a span under the one that dispatched it. */
export class SpanTaskTracer implements TaskTracer {
  readonly #agentId: string;

  constructor(agentId: string) {
    this.#agentId = agentId;
  }

  run<T>(task: Task, work: () => Promise<T>): Promise<T> {
    const attributes = { "task.id": task.id, "task.kind": task.kind, "agent.id": this.#agentId };
    return inSpan(`task ${task.kind}`, { parent: task.traceparent, kind: "server", attributes }, work);
  }
}
