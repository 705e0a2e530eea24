import type { Clock } from "../core/seams/clock.ts";
import type { Digest } from "../core/values/digest.ts";
import type {
  LogProgress,
  ProgressEvent,
  ProgressSink,
  StatusProgress,
  VertexProgress,
  WarningProgress,
} from "./progress-event.ts";
import { ProgressRecord } from "./progress-record.ts";

/**
 * The progress of one job, for any number of readers. Each reader first gets what was reported before it came, then what
 * follows, in batches as large as it is slow.
 *
 * A vertex that was never asked for because a vertex above it was cached is shown as cached from the moment that one starts;
 * what still runs when the job closes ends as `context canceled` (BuildKit solver/progress.go).
 */
export class JobProgress implements ProgressSink {
  readonly #clock: Clock;
  readonly #record = new ProgressRecord();
  readonly #readers = new Set<Batch>();
  /** Vertices and progress groups that have been shown as started, by number from 1. */
  readonly #numbers = new Map<string, number>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  vertex(vertex: VertexProgress): void {
    if (this.#closed) return;
    if (vertex.startedAt !== undefined) this.#markInputsCached(vertex);
    this.#publishVertex(vertex);
  }

  /** Place of a vertex, or of the group it is shown in, in the order of starts, from 1. */
  number(digest: Digest): number | undefined {
    const vertex = this.#record.last(digest);
    return vertex && this.#numbers.get(shownAs(vertex));
  }

  status(status: StatusProgress): void {
    this.#publish((sink) => sink.status(status));
  }

  log(log: LogProgress): void {
    this.#publish((sink) => sink.log(log));
  }

  warning(warning: WarningProgress): void {
    this.#publish((sink) => sink.warning(warning));
  }

  close(): void {
    if (this.#closed) return;
    for (const vertex of [...this.#record.vertices()]) {
      if (vertex.startedAt === undefined || vertex.completedAt !== undefined) continue;
      const ended = { ...vertex, completedAt: this.#clock.now() };
      this.#publishVertex(vertex.cached ? ended : { ...ended, error: vertex.error ?? "context canceled" });
    }
    this.#closed = true;
    for (const reader of this.#readers) reader.wake();
  }

  /** Ends when the job closes, or throws the signal's reason. */
  async *read(signal: AbortSignal): AsyncGenerator<ProgressEvent, void, undefined> {
    const batch = new Batch();
    this.#record.replay(batch);
    this.#readers.add(batch);
    const onAbort = () => batch.wake();
    signal.addEventListener("abort", onAbort);
    try {
      for (;;) {
        signal.throwIfAborted();
        const event = batch.take();
        if (event !== undefined) yield event;
        else if (this.#closed) return;
        else await batch.waiting();
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#readers.delete(batch);
    }
  }

  #markInputsCached(vertex: VertexProgress): void {
    const open = [...vertex.inputs];
    for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
      const input = this.#record.last(digest);
      if (input === undefined || input.cached || input.completedAt !== undefined) continue;
      const at = vertex.startedAt;
      if (at !== undefined) this.#publishVertex({ ...input, cached: true, startedAt: at, completedAt: at });
      open.push(...input.inputs);
    }
  }

  #publishVertex(vertex: VertexProgress): void {
    const shown = shownAs(vertex);
    if (vertex.startedAt !== undefined && !this.#numbers.has(shown)) this.#numbers.set(shown, this.#numbers.size + 1);
    this.#publish((sink) => sink.vertex(vertex));
  }

  #publish(report: (sink: ProgressSink) => void): void {
    if (this.#closed) return;
    report(this.#record);
    for (const reader of this.#readers) {
      report(reader);
      reader.wake();
    }
  }
}

/** Progress shows a group as one step. */
function shownAs({ digest, progressGroup }: VertexProgress): string {
  return progressGroup?.id ?? digest;
}

class Batch implements ProgressSink {
  #event = emptyEvent();
  #size = 0;
  #wake: (() => void) | undefined;

  vertex(vertex: VertexProgress): void {
    this.#event.vertexes.push(vertex);
    this.#size++;
  }

  status(status: StatusProgress): void {
    this.#event.statuses.push(status);
    this.#size++;
  }

  log(log: LogProgress): void {
    this.#event.logs.push(log);
    this.#size++;
  }

  warning(warning: WarningProgress): void {
    this.#event.warnings.push(warning);
    this.#size++;
  }

  take(): ProgressEvent | undefined {
    if (this.#size === 0) return undefined;
    const event = this.#event;
    this.#event = emptyEvent();
    this.#size = 0;
    return { ...event, vertexes: announcedFirst(event.vertexes) };
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  waiting(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Vertices that have not begun come first, the last one foremost, as BuildKit's clients get them (solver/progress.go). */
function announcedFirst(vertexes: readonly VertexProgress[]): VertexProgress[] {
  const announced = vertexes.filter(({ startedAt }) => startedAt === undefined);
  return [...announced.toReversed(), ...vertexes.filter(({ startedAt }) => startedAt !== undefined)];
}

function emptyEvent() {
  return {
    vertexes: [] as VertexProgress[],
    statuses: [] as StatusProgress[],
    logs: [] as LogProgress[],
    warnings: [] as WarningProgress[],
  };
}
