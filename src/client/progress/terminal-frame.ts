import { stripVTControlCharacters } from "node:util";
import type { BuildView } from "./build-view.ts";
import { formatBytes } from "./byte-size.ts";
import { secondsOf } from "./interval.ts";
import { paint, type TerminalColors } from "./terminal-colors.ts";
import { cutToWidth, textWidth } from "./text-width.ts";
import type { StatusView, VertexView } from "./vertex-view.ts";

export interface FrameSize {
  readonly columns: number;
  readonly rows: number;
}

export interface FrameOptions {
  readonly size: FrameSize;
  readonly colors: TerminalColors;
  /** Log lines shown under a running step. */
  readonly logLines: number;
  /** The last frame: everything, whatever the height, and no logs. */
  readonly last: boolean;
}

/** One line of the display, before it is cut to the width. */
interface Row {
  readonly text: string;
  /** At the right edge. */
  readonly note: string;
  readonly color: string | undefined;
  readonly running: boolean;
  /** Set for the heading of a running step. */
  readonly vertex?: VertexView;
}

/**
 * The terminal display's picture of a build: a heading, one row per vertex that has begun and per part of its work, and the
 * last lines of what running steps write. Unless it is the last frame it fits the terminal: what is complete gives way first.
 */
export function terminalFrame(view: BuildView, options: FrameOptions): readonly string[] {
  const { size, colors, last } = options;
  const now = view.daemonNow;
  const { total, completed } = view.counts;
  const seconds = Math.max(0, (now - view.startedAt) / 1000).toFixed(1);
  const finished = last && completed > 0 && completed === total ? " FINISHED" : "";
  const heading = cutToWidth(`[+] Building ${seconds}s (${completed}/${total})${finished}`, size.columns - 1);
  const rows = view.started.flatMap((vertex) => vertexRows(vertex, colors, now));
  // One row for the heading, one for the cursor.
  const room = size.rows - 2;
  const shown = last ? rows : fit(rows, room);
  const tails = last ? new Map<Row, readonly string[]>() : logTails(shown, room - shown.length, options.logLines);
  const lines = [heading];
  for (const row of shown) {
    lines.push(paint(layOut(row, size.columns - 1), row.color));
    for (const line of tails.get(row) ?? []) {
      lines.push(paint(cutToWidth(` => => # ${line}`, size.columns - 1), colors.faint));
    }
  }
  return lines;
}

function vertexRows(vertex: VertexView, colors: TerminalColors, now: number): Row[] {
  const running = !vertex.completed;
  const failed = vertex.error !== "" && !vertex.canceled;
  const state = vertex.canceled ? "CANCELED " : failed ? "ERROR " : vertex.cached ? "CACHED " : "";
  const color = running ? undefined : vertex.canceled ? colors.cancel : failed ? colors.error : colors.run;
  const agent = vertex.agent === undefined ? "" : ` @${vertex.agent}`;
  return [
    {
      text: ` => ${state}${clean(vertex.name)}`,
      note: `${agent} ${seconds(secondsOf(vertex.intervals, now))}`,
      color,
      running,
      ...(running ? { vertex } : {}),
    },
    ...vertex.statuses.map((status) => statusRow(status, colors, now)),
    ...vertex.warnings.map((text) => ({
      text: ` => WARN: ${clean(text)}`,
      note: "",
      color: colors.warning,
      running: false,
    })),
  ];
}

function statusRow({ id, current, total, started, completed }: StatusView, colors: TerminalColors, now: number): Row {
  let size = "";
  if (total !== 0) size = ` ${formatBytes(current)} / ${formatBytes(total)}`;
  else if (current !== 0) size = ` ${formatBytes(current)}`;
  return {
    text: ` => => ${clean(id)}`,
    note: `${size} ${seconds(((completed ?? now) - (started ?? now)) / 1000)}`,
    color: completed === undefined ? undefined : colors.run,
    running: completed === undefined,
  };
}

function seconds(value: number): string {
  return `${(value < 0.05 ? 0 : value).toFixed(1)}s`;
}

/** The rows that matter most in so many lines, in their order: running ones, then those completed last. */
function fit(rows: readonly Row[], room: number): readonly Row[] {
  if (rows.length <= room) return rows;
  if (room <= 0) return [];
  const running = rows.filter((row) => row.running).slice(-room);
  const kept = new Set(running);
  for (const row of rows.toReversed()) {
    if (kept.size >= room) break;
    if (!row.running) kept.add(row);
  }
  return rows.filter((row) => kept.has(row));
}

/** Shares free lines among the logs of running steps; the step that wrote last comes first. */
function logTails(rows: readonly Row[], room: number, most: number): Map<Row, readonly string[]> {
  const tails = new Map<Row, readonly string[]>();
  const writers = rows.filter((row) => row.vertex !== undefined && row.vertex.log.tail.length > 0);
  let free = room;
  for (const row of writers.toReversed()) {
    const lines = (row.vertex?.log.tail ?? []).slice(-Math.min(most, Math.max(free, 0))).map(logLine);
    if (free <= 0) break;
    tails.set(row, lines);
    free -= lines.length;
  }
  return tails;
}

/** A log line as a terminal would show it after carriage returns, without its time stamp. */
function logLine(line: string): string {
  const text = line.slice(line.indexOf(" ") + 1).replace(/\r+$/, "");
  return clean(text.slice(text.lastIndexOf("\r") + 1));
}

/** Nothing in a name or log may move the cursor. */
function clean(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\t", "  ")).replace(/\p{Cc}/gu, " ");
}

function layOut({ text, note }: Row, columns: number): string {
  const room = columns - textWidth(note);
  if (room < 12) return cutToWidth(text, columns);
  const left = cutToWidth(text, room);
  return left + " ".repeat(room - textWidth(left)) + note;
}
