import { subjects } from "../bus/index.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import { onSpanEnded, type SpanRecord } from "../telemetry/index.ts";
import { encode } from "../util/msgpack.ts";

/** A record of a build is finished some seconds after it. */
const publishEveryMs = 200;
/** About half a megabyte. */
const maxSpans = 1000;

/** Sends the spans of this process to whichever coordinators keep their traces; the bus drops those that nobody wants. */
export class SpanPublisher implements Disposable {
  readonly #bus: MessageBus;
  readonly #listening: Disposable;
  #waiting: SpanRecord[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: MessageBus) {
    this.#bus = bus;
    this.#listening = onSpanEnded((span) => {
      this.#waiting.push(span);
      if (this.#waiting.length >= maxSpans) this.#publish();
      else this.#timer ??= setTimeout(() => this.#publish(), publishEveryMs);
    });
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    this.#publish();
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const traces = Map.groupBy(this.#waiting, ({ traceId }) => traceId);
    this.#waiting = [];
    for (const [traceId, spans] of traces) this.#bus.publish(subjects.traceSpans(traceId), encode(spans));
  }
}
