import { BuildError } from "../core/errors/build-error.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Vertex } from "../core/seams/op.ts";
import type { ProgressStatus, ProgressWarning, ProgressWriter } from "../core/seams/progress.ts";
import type { Digest } from "../core/values/digest.ts";
import type { ProgressSink, VertexProgress } from "./progress-event.ts";
import { ProgressRecord } from "./progress-record.ts";

/** Progress of one vertex, fanned out to all who watch it; who comes late gets a replay. */
export class VertexProgressWriter implements ProgressWriter {
  readonly #clock: Clock;
  readonly #record = new ProgressRecord();
  readonly #sinks = new Set<ProgressSink>();
  #vertex: VertexProgress;

  constructor(vertex: VertexProgress, clock: Clock) {
    this.#vertex = vertex;
    this.#clock = clock;
    this.#record.vertex(vertex);
  }

  /** Message of its failure, if it has failed. */
  get error(): string | undefined {
    return this.#vertex.error;
  }

  watch(sink: ProgressSink): void {
    if (this.#sinks.has(sink)) return;
    this.#record.replay(sink);
    this.#sinks.add(sink);
  }

  unwatch(sink: ProgressSink): void {
    this.#sinks.delete(sink);
  }

  status(update: ProgressStatus): void {
    const status = { ...update, vertex: this.#vertex.digest, timestamp: this.#clock.now() };
    this.#report((sink) => sink.status(status));
  }

  log(stream: 1 | 2, data: Uint8Array): void {
    const log = { vertex: this.#vertex.digest, stream, data, timestamp: this.#clock.now() };
    this.#report((sink) => sink.log(log));
  }

  warn(warning: ProgressWarning): void {
    const warned = { ...warning, vertex: this.#vertex.digest };
    this.#report((sink) => sink.warning(warned));
  }

  /** Shows the vertex as running while `work` runs, then as done or failed. */
  async during<R>(
    work: () => Promise<R>,
    options: { readonly cached: boolean; readonly signal: AbortSignal },
  ): Promise<R> {
    const { cached, signal } = options;
    const started = this.#started(cached, this.#clock.now());
    this.#set(started);
    try {
      const result = await work();
      this.#set({ ...started, completedAt: this.#clock.now() });
      return result;
    } catch (error) {
      const reason = BuildError.from(signal.aborted ? signal.reason : error);
      this.#set({ ...started, completedAt: this.#clock.now(), error: reason.message });
      throw error;
    }
  }

  /** Shows that the vertex was served from cache. Only what has been loaded is reported: a record that fails is not an error. */
  loaded(startedAt: number): void {
    const started = this.#started(true, startedAt);
    this.#set(started);
    this.#set({ ...started, completedAt: this.#clock.now() });
  }

  #started(cached: boolean, startedAt: number): VertexProgress {
    const { digest, name, inputs, progressGroup } = this.#vertex;
    return { digest, name, inputs, cached, startedAt, ...(progressGroup === undefined ? {} : { progressGroup }) };
  }

  #set(vertex: VertexProgress): void {
    this.#vertex = vertex;
    this.#report((sink) => sink.vertex(vertex));
  }

  #report(report: (sink: ProgressSink) => void): void {
    report(this.#record);
    for (const sink of this.#sinks) report(sink);
  }
}

/** How a vertex is shown before anything happened to it. `digest` is its identity in the solver. */
export function initialProgress(vertex: Vertex, digest: Digest, inputs: readonly Digest[]): VertexProgress {
  const { progressGroup } = vertex.options;
  return {
    digest,
    name: vertex.name,
    inputs,
    cached: false,
    ...(progressGroup === undefined ? {} : { progressGroup }),
  };
}
