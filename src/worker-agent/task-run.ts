import { subjects } from "../bus/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { ProgressStatus, ProgressWarning, ProgressWriter } from "../core/seams/progress.ts";
import type { TaskOutcome } from "../core/values/agent.ts";
import type { LayerId } from "../core/values/layer.ts";
import type { OutputsResult, Task } from "../core/values/task.ts";
import { encode } from "../util/msgpack.ts";
import type { TaskLayerService } from "./layers/task-layer-service.ts";
import { TaskReporter } from "./task-reporter.ts";

/** How work ended, before it is told under anybody's lease. */
export type RunOutcome = TaskOutcome extends infer O ? (O extends unknown ? Omit<O, "leaseId" | "seq"> : never) : never;

/** How often an outcome is offered to a coordinator that does not answer, or that seems to listen no more. */
const outcomeAttempts = 20;
/** The same when the work was aborted: whoever did it is not waiting, and no shutdown waits for long. */
const abortedOutcomeAttempts = 3;

/** One who wants the outcome. */
interface Attempt {
  readonly task: Task;
  readonly reporter: TaskReporter;
  /** Resolves when it knows, or cannot be told. */
  told?: Promise<void>;
}

/**
 * Work that is done once, for all who want it: the task it was begun for, and tasks of other coordinators that name the same
 * step. What it reports goes to each of them under its own lease.
 */
export class TaskRun implements ProgressWriter {
  /** The task it was begun for. */
  readonly task: Task;
  readonly abort = new AbortController();
  /** Resolves when all who want the outcome know it, or cannot be told. */
  done: Promise<void> = Promise.resolve();
  /** Absent until its sessions are open. */
  layers?: TaskLayerService;
  /** Heartbeats since one of those who want it was heard. */
  orphanedBeats = 0;
  readonly #bus: MessageBus;
  readonly #clock: Clock;
  readonly #attempts = new Map<string, Attempt>();
  #outcome: RunOutcome | undefined;
  #wasTold = false;

  constructor(task: Task, bus: MessageBus, clock: Clock) {
    this.task = task;
    this.#bus = bus;
    this.#clock = clock;
    this.join(task);
  }

  /** Tasks that want its outcome. */
  get tasks(): readonly Task[] {
    return [...this.#attempts.values()].map(({ task }) => task);
  }

  find(taskId: string): Task | undefined {
    return this.#attempts.get(taskId)?.task;
  }

  /** Others that ask for the step may have its result. */
  get isShared(): boolean {
    return this.task.step !== undefined && !this.abort.signal.aborted && this.#outcome?.type !== "error";
  }

  /** It has ended well, and nobody knows: whoever asks for the step next may have what it made. */
  get isKept(): boolean {
    return this.isShared && !this.#wasTold && this.#outcome !== undefined;
  }

  /** Layers in its result, if it has one. */
  get made(): readonly LayerId[] {
    if (this.#outcome?.type !== "result") return [];
    return ((this.#outcome.result as Partial<OutputsResult>).layers ?? []).map(({ id }) => id);
  }

  /** One more who wants the outcome. Progress of before is not told again. */
  join(task: Task): void {
    const attempt: Attempt = { task, reporter: new TaskReporter(this.#bus, task, this.#clock) };
    this.#attempts.set(task.id, attempt);
    if (this.#outcome !== undefined) attempt.told = this.#tell(attempt, this.#outcome);
  }

  /** The task is not wanted any more. @returns false when it is the only one: then nothing has changed */
  leave(taskId: string): boolean {
    if (this.#attempts.size < 2) return false;
    this.#attempts.get(taskId)?.reporter.end();
    return this.#attempts.delete(taskId);
  }

  status(update: ProgressStatus): void {
    for (const { reporter } of this.#attempts.values()) reporter.status(update);
  }

  log(stream: 1 | 2, data: Uint8Array): void {
    for (const { reporter } of this.#attempts.values()) reporter.log(stream, data);
  }

  warn(warning: ProgressWarning): void {
    for (const { reporter } of this.#attempts.values()) reporter.warn(warning);
  }

  /** As the reporter's; what is large is not shared. */
  async withoutLargeData(result: unknown): Promise<unknown> {
    return this.#attempts.get(this.task.id)?.reporter.withoutLargeData(result) ?? result;
  }

  conclude(outcome: RunOutcome): void {
    this.#outcome = outcome;
    for (const attempt of this.#attempts.values()) attempt.told = this.#tell(attempt, outcome);
  }

  /** Resolves when nobody is left to be told. */
  async told(): Promise<void> {
    while (this.#attempts.size > 0) await Promise.all([...this.#attempts.values()].map(({ told }) => told));
  }

  async #tell({ task, reporter }: Attempt, outcome: RunOutcome): Promise<void> {
    const { seq } = reporter.end();
    const known = task === this.task ? outcome : forOthers(outcome);
    const data = encode({ ...known, leaseId: task.leaseId, seq });
    const { signal } = this.abort;
    for (let attempt = 1; attempt <= (signal.aborted ? abortedOutcomeAttempts : outcomeAttempts); attempt++) {
      if (!this.#attempts.has(task.id)) return;
      try {
        await this.#bus.request(subjects.taskOutcome(task.id), data, { timeoutMs: 2000 });
        this.#wasTold = true;
        break;
      } catch {
        await this.#clock.sleep(Math.min(100 * 2 ** (attempt - 1), 1000));
      }
    }
    this.#attempts.delete(task.id);
  }
}

/** A failure may come of the sessions it was begun with, and its log was not theirs to see: they try for themselves. */
function forOthers(outcome: RunOutcome): RunOutcome {
  if (outcome.type === "result") return outcome;
  const message = "the step failed for another coordinator, which had begun it";
  const error = new BuildError(Code.Unavailable, message, { infrastructure: true }).toWire();
  return { type: "error", error, fetched: outcome.fetched };
}
