import type { StatusResponse } from "../../api/gen/control.ts";
import { BuildView } from "./build-view.ts";
import { formatBytes } from "./byte-size.ts";
import type { Display, TextSink } from "./display.ts";
import { failureReport } from "./failure-report.ts";
import { secondsOf } from "./interval.ts";
import type { StatusView, VertexView } from "./vertex-view.ts";

export interface PlainDisplayOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly now?: () => number;
}

/** A vertex with more to say waits this long for the one being shown, by its share of the activity … */
const antiFlickerMs = 5000;
/** … and never longer than this. */
const maxDelayMs = 10_000;
/** An unfinished status is shown again after this long, or this much progress. */
const minStatusMs = 5000;
const minStatusShare = 0.05;
const keepLogLines = 10;
const refreshMs = 100;

/** What has been written about a vertex. */
interface Printed {
  readonly index: number;
  warnings: number;
  agent: string | undefined;
  /** Characters of the log's incomplete last line that are out already. */
  partialLength: number;
}

/**
 * Line by line, one vertex at a time, in the format of `buildctl --progress=plain` (BuildKit
 * util/progress/progressui/printer.go). The display stays with a vertex until it completes, or others have waited too long.
 */
export class PlainDisplay implements Display {
  readonly #out: TextSink;
  readonly #now: () => number;
  readonly #shortNames: boolean;
  readonly #view: BuildView;
  readonly #printed = new Map<VertexView, Printed>();
  readonly #lastStatus = new Map<string, StatusView>();
  #current: VertexView | undefined;
  #refreshedAt = Number.NEGATIVE_INFINITY;

  constructor(out: TextSink, options: PlainDisplayOptions = {}) {
    this.#out = out;
    this.#now = options.now ?? Date.now;
    this.#shortNames = (options.env ?? process.env)["PROGRESS_NO_TRUNC"] === "0";
    this.#view = new BuildView({ keepLogLines, now: this.#now });
  }

  update(status: StatusResponse): void {
    this.#view.apply(status);
    if (this.#now() - this.#refreshedAt < refreshMs) return;
    this.refresh();
  }

  refresh(): void {
    this.#refreshedAt = this.#now();
    const changed = [...this.#view.changed].filter((vertex) => !vertex.hidden);
    const completed = changed.filter((vertex) => vertex.completed).sort(byEnd);
    const open = new Set(changed.filter((vertex) => !vertex.completed));
    const before = this.#current;
    if (before !== undefined && completed.includes(before)) this.#print(before);
    for (const vertex of completed) if (vertex !== before) this.#print(vertex);
    if (open.size === 0) this.#showAnyOpen(before);
    else this.#showOpen(open, before, before === undefined || completed.includes(before));
  }

  finish(): void {
    this.refresh();
    this.#out.write(failureReport(this.#view));
  }

  /** Nothing is new: if nothing is on show either, some running vertex should be. */
  #showAnyOpen(before: VertexView | undefined): void {
    if (before?.started && !before.completed) return;
    const open = this.#view.started.find((vertex) => !vertex.completed);
    if (open !== undefined) this.#print(open);
  }

  /**
   * Prints what is new of the vertex on show, then decides whether another one has waited long enough.
   * @param free the one on show is complete, or there was none
   */
  #showOpen(open: Set<VertexView>, before: VertexView | undefined, free: boolean): void {
    if (before !== undefined && open.has(before)) this.#print(before);
    if (before !== undefined) open.add(before);
    const now = this.#now();
    const waits = [...open].flatMap((vertex) => {
      if (vertex.activeSince === undefined) return [];
      const waitedMs = Math.max(now - vertex.activeSince, 1);
      const overdue = waitedMs > maxDelayMs && vertex !== before;
      return [{ vertex, waitedMs, overdue, speed: vertex.activity / waitedMs }];
    });
    const most = waits.reduce<(typeof waits)[number] | undefined>(
      (best, wait) => (best === undefined || wait.overdue || wait.speed > best.speed ? wait : best),
      undefined,
    );
    if (free) {
      if (most !== undefined) this.#print(most.vertex);
      return;
    }
    const overdue = waits.find((wait) => wait.overdue);
    if (overdue !== undefined) {
      this.#print(overdue.vertex);
      return;
    }
    const mine = waits.find((wait) => wait.vertex === before);
    const sum = waits.reduce((total, wait) => total + wait.speed, 0);
    const share = mine === undefined || sum === 0 ? 0 : mine.speed / sum;
    if (most !== undefined && mine !== undefined && antiFlickerMs / (1 - share) < mine.waitedMs)
      this.#print(most.vertex);
  }

  #print(vertex: VertexView): void {
    const printed = this.#begin(vertex);
    const prefix = `#${printed.index} `;
    if (vertex.agent !== printed.agent) {
      printed.agent = vertex.agent;
      this.#out.write(`${prefix}on agent ${vertex.agent}\n`);
    }
    const openStatus = this.#printStatuses(vertex, prefix);
    for (; printed.warnings < vertex.warnings.length; printed.warnings++) {
      this.#out.write(`${prefix}WARN: ${vertex.warnings[printed.warnings]}\n`);
    }
    this.#printLog(vertex, printed, prefix);
    this.#view.changed.delete(vertex);
    this.#current = vertex;
    if (!vertex.completed || openStatus) return;
    this.#current = undefined;
    vertex.activity = 0;
    if (printed.partialLength > 0) {
      this.#out.write("\n");
      printed.partialLength = 0;
    }
    this.#out.write(`${prefix}${this.#ending(vertex)}\n`);
  }

  /** Puts the vertex on show: closes the block of the one before it and writes its heading. */
  #begin(vertex: VertexView): Printed {
    const first = this.#printed.size === 0;
    let printed = this.#printed.get(vertex);
    if (printed === undefined) {
      printed = { index: this.#printed.size + 1, warnings: 0, agent: undefined, partialLength: 0 };
      this.#printed.set(vertex, printed);
    }
    if (vertex === this.#current) return printed;
    const old = this.#current === undefined ? undefined : this.#printed.get(this.#current);
    if (this.#current !== undefined && old !== undefined) {
      if (old.partialLength > 0) this.#out.write("\n");
      old.partialLength = 0;
      this.#current.activity = 0;
      this.#out.write(`#${old.index} ...\n`);
    }
    if (!first) this.#out.write("\n");
    const { name } = vertex;
    this.#out.write(`#${printed.index} ${this.#shortNames && name.length > 72 ? `${name.slice(0, 72)}...` : name}\n`);
    return printed;
  }

  /** @returns whether a status that was written is not complete */
  #printStatuses(vertex: VertexView, prefix: string): boolean {
    let open = false;
    for (const status of vertex.statuses) {
      if (!vertex.changedStatuses.has(status.id)) continue;
      const last = this.#lastStatus.get(status.id);
      if (last !== undefined && status.completed === undefined) {
        const share = status.total > 0 ? (status.current - last.current) / status.total : 0;
        if (share < minStatusShare && status.at - last.at < minStatusMs) continue;
      }
      this.#lastStatus.set(status.id, status);
      open ||= status.completed === undefined;
      this.#out.write(`${prefix}${status.id}${statusText(status)}\n`);
    }
    vertex.changedStatuses.clear();
    return open;
  }

  #printLog(vertex: VertexView, printed: Printed, prefix: string): void {
    const lines = vertex.log.take();
    for (const [index, line] of lines.entries()) {
      const unfinished = index === lines.length - 1 && vertex.log.partial;
      const continues = index === 0 && printed.partialLength > 0;
      this.#out.write(`${continues ? line.slice(printed.partialLength) : prefix + line}${unfinished ? "" : "\n"}`);
      printed.partialLength = unfinished ? line.length : 0;
    }
  }

  #ending(vertex: VertexView): string {
    if (vertex.error !== "") return vertex.canceled ? "CANCELED" : `ERROR: ${vertex.error}`;
    if (vertex.cached) return "CACHED";
    return `DONE ${secondsOf(vertex.intervals, this.#view.daemonNow).toFixed(1)}s`;
  }
}

function byEnd(a: VertexView, b: VertexView): number {
  return (a.lastInterval?.stop ?? 0) - (b.lastInterval?.stop ?? 0);
}

function statusText({ current, total, at, started, completed }: StatusView): string {
  let text = "";
  if (total !== 0) text = ` ${formatBytes(current)} / ${formatBytes(total)}`;
  else if (current !== 0) text = ` ${formatBytes(current)}`;
  const seconds = started === undefined ? 0 : ((completed ?? at) - started) / 1000;
  if (seconds > 0.01) text += ` ${seconds.toFixed(1)}s`;
  return completed === undefined ? text : `${text} done`;
}
