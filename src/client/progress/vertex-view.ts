import type { Vertex, VertexStatus } from "../../api/gen/control.ts";
import { type Interval, mergeIntervals } from "./interval.ts";
import { StepLog } from "./step-log.ts";
import { timestampMs } from "./timestamp.ts";

/** A part of a vertex's work with a name and perhaps a size: a download, a transfer. */
export interface StatusView {
  readonly id: string;
  readonly current: number;
  /** 0 = unknown. */
  readonly total: number;
  readonly at: number;
  readonly started: number | undefined;
  readonly completed: number | undefined;
}

/** One vertex, or one progress group, as displays see it. Times are the daemon's, Unix milliseconds. */
export class VertexView {
  readonly id: string;
  name = "";
  cached = false;
  error = "";
  /** A group with nothing worth showing. */
  hidden = false;
  /** Agent that runs it. */
  agent: string | undefined;
  /** Vertices of a group by digest. */
  readonly members = new Map<string, Vertex>();
  readonly warnings: string[] = [];
  readonly log: StepLog;
  /** Statuses that came since a display last looked; displays clear it. */
  readonly changedStatuses = new Set<string>();
  /** Changes since a display last showed it, and the local time of the first of them. */
  activity = 0;
  activeSince: number | undefined;
  readonly #statuses = new Map<string, StatusView>();
  readonly #intervals = new Map<number, Interval>();
  #merged: readonly Interval[] = [];

  constructor(id: string, keepLogLines: number) {
    this.id = id;
    this.log = new StepLog(keepLogLines);
  }

  get intervals(): readonly Interval[] {
    return this.#merged;
  }

  get lastInterval(): Interval | undefined {
    return this.#merged.at(-1);
  }

  get started(): boolean {
    return this.#merged.length > 0;
  }

  get completed(): boolean {
    return this.lastInterval?.stop !== undefined;
  }

  /** Stopped because the build was, not through its own fault. */
  get canceled(): boolean {
    return this.error.endsWith("context canceled");
  }

  /** Those that have begun, in order of their beginning. */
  get statuses(): readonly StatusView[] {
    return [...this.#statuses.values()].filter((status) => status.started !== undefined);
  }

  touch(now: number): void {
    if (this.activity === 0) this.activeSince = now;
    this.activity++;
  }

  /** @returns whether anything a display shows is different */
  update(vertex: Vertex): boolean {
    const start = timestampMs(vertex.started);
    // Daemons announce a vertex again when another build asks for it; that takes nothing back.
    if (this.started && start === undefined) return false;
    const before = [this.name, this.cached, this.error, this.#state()].join("\0");
    this.name = vertex.name;
    this.cached = vertex.cached;
    this.error = vertex.error;
    if (start !== undefined) this.#addInterval(start, timestampMs(vertex.completed));
    return before !== [this.name, this.cached, this.error, this.#state()].join("\0");
  }

  /** Sums a group up: cached when all are, failed when one is, shown once a member that counts has begun. */
  updateFromMembers(): { readonly changed: boolean; readonly revealed: boolean } {
    const before = [this.cached, this.error, this.hidden, this.#state()].join("\0");
    const wasHidden = this.hidden;
    const members = [...this.members.values()];
    for (const { started, completed, progressGroup } of members) {
      const start = timestampMs(started);
      if (start === undefined) continue;
      this.#addInterval(start, timestampMs(completed));
      if (progressGroup?.weak !== true) this.hidden = false;
    }
    this.cached = members.every((member) => member.cached);
    const failed = members.filter((member) => member.error !== "");
    this.error = failed[0]?.error ?? "";
    if (failed.length > 0) this.hidden = false;
    const changed = before !== [this.cached, this.error, this.hidden, this.#state()].join("\0");
    return { changed, revealed: wasHidden && !this.hidden };
  }

  updateStatus(status: VertexStatus): void {
    this.#statuses.set(status.ID, {
      id: status.ID,
      current: status.current,
      total: status.total,
      at: timestampMs(status.timestamp) ?? 0,
      started: timestampMs(status.started),
      completed: timestampMs(status.completed),
    });
    this.changedStatuses.add(status.ID);
  }

  #addInterval(start: number, stop: number | undefined): void {
    this.#intervals.set(start, { start, stop });
    this.#merged = mergeIntervals(this.#intervals.values());
  }

  #state(): string {
    return this.#merged.map(({ start, stop }) => `${start}-${stop ?? ""}`).join();
  }
}
