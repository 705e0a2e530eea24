import { subjects } from "../bus/index.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { ProgressStatus, ProgressWarning, ProgressWriter } from "../core/seams/progress.ts";
import type { TaskEvent } from "../core/values/agent.ts";
import type { Task } from "../core/values/task.ts";
import { encode } from "../util/msgpack.ts";

/** Well under the bus's 1 MiB, with room for the envelope. */
const chunkBytes = 512 << 10;
/** Output of a step is gathered this long before it is sent: one message instead of one per line. */
const logDelayMs = 20;

/** `Omit` that keeps the members of a union apart. */
type WithoutEnvelope<E> = E extends unknown ? Omit<E, "leaseId" | "seq"> : never;

/** Sends what a running task reports as numbered events on the task's subject. */
export class TaskReporter implements ProgressWriter {
  readonly #bus: MessageBus;
  readonly #task: Task;
  readonly #clock: Clock;
  #seq = 0;
  #ended = false;
  #pending: { readonly stream: 1 | 2; readonly at: number; readonly parts: Uint8Array[]; bytes: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: MessageBus, task: Task, clock: Clock) {
    this.#bus = bus;
    this.#task = task;
    this.#clock = clock;
  }

  status(update: ProgressStatus): void {
    this.#flushLog();
    this.#publish({ type: "status", status: update });
  }

  log(stream: 1 | 2, data: Uint8Array): void {
    if (this.#pending !== undefined && this.#pending.stream !== stream) this.#flushLog();
    this.#pending ??= { stream, at: this.#clock.now(), parts: [], bytes: 0 };
    // The writer may reuse its buffer.
    this.#pending.parts.push(Uint8Array.from(data));
    this.#pending.bytes += data.length;
    if (this.#pending.bytes >= 64 << 10) this.#flushLog();
    else this.#timer ??= setTimeout(() => this.#flushLog(), logDelayMs);
  }

  warn(warning: ProgressWarning): void {
    this.#publish({ type: "warning", warning });
  }

  /** Sends a large `data` field of a result as chunks and leaves it empty. */
  async withoutLargeData(result: unknown): Promise<unknown> {
    if (typeof result !== "object" || result === null || !("data" in result)) return result;
    const data = result.data;
    if (!(data instanceof Uint8Array) || data.length <= chunkBytes) return result;
    for (let offset = 0; offset < data.length; offset += chunkBytes) {
      this.#publish({ type: "chunk", data: data.subarray(offset, offset + chunkBytes) });
      await this.#bus.flush();
    }
    return { ...result, data: new Uint8Array() };
  }

  /** No event goes out after this. @returns the number of events sent */
  end(): { readonly seq: number } {
    this.#flushLog();
    this.#ended = true;
    return { seq: this.#seq };
  }

  #flushLog(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    const data = Buffer.concat(pending.parts);
    for (let offset = 0; offset < data.length; offset += chunkBytes) {
      const part = data.subarray(offset, offset + chunkBytes);
      this.#publish({ type: "log", stream: pending.stream, data: part, at: pending.at });
    }
  }

  #publish(event: WithoutEnvelope<TaskEvent>): void {
    if (this.#ended) return;
    const envelope = { ...event, leaseId: this.#task.leaseId, seq: this.#seq++ };
    this.#bus.publish(subjects.taskEvents(this.#task.id), encode(envelope));
  }
}
