import { randomBytes } from "node:crypto";
import { subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { TaskEvent, TaskOutcome } from "../../core/values/agent.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { OutputsResult } from "../../core/values/task.ts";
import { decode } from "../../util/msgpack.ts";

/**
 * The coordinator's end of one task under one lease: hears its events and its outcome. Everything under another lease id is
 * dropped, so a late answer of an agent taken for dead changes nothing.
 */
export class TaskAttempt implements Disposable {
  readonly taskId: string;
  #leaseId = newLeaseId();
  readonly outcome: Promise<{ readonly result: unknown; readonly fetched: readonly LayerId[] }>;
  readonly #settle = Promise.withResolvers<{ readonly result: unknown; readonly fetched: readonly LayerId[] }>();
  readonly #progress: ProgressWriter;
  readonly #onMade: (layers: readonly LayerId[]) => void;
  #chunks: Uint8Array[] = [];
  readonly #subscriptions: readonly Disposable[];
  #events = 0;
  #ended = false;

  /** @param onMade told of the layers the task made, before the agent may think that they are known here */
  constructor(
    bus: MessageBus,
    taskId: string,
    progress: ProgressWriter,
    onMade: (layers: readonly LayerId[]) => void = () => {},
  ) {
    this.taskId = taskId;
    this.#progress = progress;
    this.#onMade = onMade;
    this.outcome = this.#settle.promise;
    this.outcome.catch(() => {});
    this.#subscriptions = [
      bus.subscribe(subjects.taskEvents(taskId), (message) => this.#onEvent(decode<TaskEvent>(message.data))),
      bus.subscribe(subjects.taskOutcome(taskId), (message) => {
        message.respond(new Uint8Array());
        this.#onOutcome(decode<TaskOutcome>(message.data));
      }),
    ];
  }

  get leaseId(): string {
    return this.#leaseId;
  }

  /** What was said under the lease until now is forgotten, and what is still said under it is not heard. */
  renewLease(): void {
    this.#leaseId = newLeaseId();
    this.#chunks = [];
    this.#events = 0;
  }

  /** The agent has said how it ended. */
  get ended(): boolean {
    return this.#ended;
  }

  fail(error: BuildError): void {
    this.#settle.reject(error);
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    this.#settle.reject(new BuildError(Code.Canceled, "context canceled"));
  }

  #onEvent(event: TaskEvent): void {
    if (event.leaseId !== this.#leaseId || this.#ended) return;
    this.#events++;
    switch (event.type) {
      case "status":
        this.#progress.status(event.status);
        return;
      case "log":
        this.#progress.log(event.stream, event.data);
        return;
      case "warning":
        this.#progress.warn(event.warning);
        return;
      case "chunk":
        this.#chunks.push(event.data);
        return;
    }
  }

  #onOutcome(outcome: TaskOutcome): void {
    if (outcome.leaseId !== this.#leaseId || this.#ended) return;
    this.#ended = true;
    if (outcome.type === "error") {
      const { error, state } = outcome;
      this.#onMade(state?.layers.map(({ id }) => id) ?? []);
      const failure = BuildError.fromWire(error);
      this.#settle.reject(state === undefined ? failure : new StepFailedError(failure, state));
      return;
    }
    if (this.#chunks.length > 0 && this.#events !== outcome.seq) {
      const lost = `${outcome.seq - this.#events} of ${outcome.seq} messages of the task were lost on the bus`;
      this.#settle.reject(new BuildError(Code.Unavailable, lost, { infrastructure: true }));
      return;
    }
    const { layers = [] } = outcome.result as Partial<OutputsResult>;
    this.#onMade(layers.map(({ id }) => id));
    const data = this.#chunks.length > 0 ? { data: Buffer.concat(this.#chunks) } : {};
    this.#settle.resolve({
      result: { ...(outcome.result as object), ...data },
      fetched: outcome.fetched as readonly LayerId[],
    });
  }
}

function newLeaseId(): string {
  return randomBytes(8).toString("hex");
}
