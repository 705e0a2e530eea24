import type { Task } from "../core/values/task.ts";

/** Wraps the running of a task, e.g. in a span that continues the task's trace. */
export interface TaskTracer {
  run<T>(task: Task, work: () => Promise<T>): Promise<T>;
}
