import type { LogProgress, ProgressSink, StatusProgress, VertexProgress, WarningProgress } from "./progress-event.ts";

/**
 * What has been reported so far, kept for those who come later: the last state of each vertex and status line, all warnings,
 * and the newest logs of each vertex up to a limit.
 */
export class ProgressRecord implements ProgressSink {
  readonly #maxLogBytes: number;
  readonly #vertices = new Map<string, VertexProgress>();
  readonly #statuses = new Map<string, StatusProgress>();
  readonly #warnings: WarningProgress[] = [];
  readonly #logs = new Map<string, { readonly items: LogProgress[]; bytes: number }>();

  /** @param maxLogBytes per vertex; default 2 MiB, which is also BuildKit's limit for the log of a step */
  constructor(maxLogBytes = 2 * 1024 * 1024) {
    this.#maxLogBytes = maxLogBytes;
  }

  vertices(): IterableIterator<VertexProgress> {
    return this.#vertices.values();
  }

  last(digest: string): VertexProgress | undefined {
    return this.#vertices.get(digest);
  }

  vertex(vertex: VertexProgress): void {
    this.#vertices.set(vertex.digest, vertex);
  }

  status(status: StatusProgress): void {
    this.#statuses.set(`${status.vertex} ${status.id}`, status);
  }

  log(log: LogProgress): void {
    let kept = this.#logs.get(log.vertex);
    if (kept === undefined) {
      kept = { items: [], bytes: 0 };
      this.#logs.set(log.vertex, kept);
    }
    kept.items.push(log);
    kept.bytes += log.data.length;
    while (kept.bytes > this.#maxLogBytes && kept.items.length > 1) kept.bytes -= kept.items.shift()?.data.length ?? 0;
  }

  warning(warning: WarningProgress): void {
    this.#warnings.push(warning);
  }

  replay(sink: ProgressSink): void {
    for (const vertex of this.#vertices.values()) sink.vertex(vertex);
    for (const status of this.#statuses.values()) sink.status(status);
    for (const { items } of this.#logs.values()) for (const log of items) sink.log(log);
    for (const warning of this.#warnings) sink.warning(warning);
  }
}
