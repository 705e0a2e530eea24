import type { Logger } from "../core/seams/logger.ts";
import { SharedTask } from "./shared-task.ts";

export type LogFields = Readonly<Record<string, unknown>>;

/** Tells the decisions of one edge: why it ran, or what it waits for (BuildKit solver/debug.go). */
export class EdgeLog {
  readonly #logger: Logger | undefined;

  /** @param logger absent: nothing is told */
  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  note(message: string, fields: LogFields = {}): void {
    this.#logger?.debug(`scheduler: ${message}`, fields);
  }

  /** @param state what there is to tell of the edge when the task has ended */
  task<R>(name: string, work: (signal: AbortSignal) => Promise<R>, state: () => LogFields): SharedTask<R> {
    if (this.#logger === undefined) return new SharedTask(work);
    return new SharedTask(async (signal) => {
      this.note(`${name} begins`);
      try {
        const result = await work(signal);
        this.note(`${name} ends`, state());
        return result;
      } catch (error) {
        this.note(`${name} ${signal.aborted ? "is not wanted any more" : "fails"}`, {
          ...state(),
          error: String(error),
        });
        throw error;
      }
    });
  }
}
