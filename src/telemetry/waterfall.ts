import type { SpanRecord } from "./otlp-spans.ts";

/** Enough of an agent's id to tell it from others. */
const agentColumns = 12;

/**
 * A trace as lines of text, children indented under their parents in the order in which they began:
 * `name  agent  +start  ████  duration`. Spans whose parent is missing stand at the top level.
 * @param width columns of the terminal
 */
export function renderWaterfall(spans: readonly SpanRecord[], width: number): string {
  if (spans.length === 0) return "";
  const rows = inOrder(spans);
  const starts = spans.map((span) => span.startNanos).sort(ascending);
  const ends = spans.map((span) => span.endNanos).sort(ascending);
  const start = starts[0] ?? 0n;
  const end = ends.at(-1) ?? start;
  const nameWidth = Math.max(16, Math.floor(width * 0.42));
  const agentWidth = Math.max(...rows.map(({ agent }) => agent.length));
  const timeWidth = 9;
  const barWidth = Math.max(8, width - nameWidth - agentWidth - 2 * timeWidth - 4);
  const total = Number(end - start) || 1;
  return rows
    .map(({ span, depth, agent }) => {
      const from = Number(span.startNanos - start);
      const length = Number(span.endNanos - span.startNanos);
      const left = Math.min(barWidth - 1, Math.round((from / total) * barWidth));
      const cells = Math.max(1, Math.round(((from + length) / total) * barWidth) - left);
      const bar = `${" ".repeat(left)}${(span.error === undefined ? "█" : "▒").repeat(cells)}`.padEnd(barWidth);
      const name = fit(`${"  ".repeat(depth)}${span.name}`, nameWidth);
      return `${name} ${agent.padEnd(agentWidth)} ${`+${seconds(from)}`.padStart(timeWidth)} ${bar} ${seconds(length).padStart(timeWidth)}\n`;
    })
    .join("");
}

interface Row {
  readonly span: SpanRecord;
  readonly depth: number;
  /** Where it ran, or its nearest parent that says so. */
  readonly agent: string;
}

function inOrder(spans: readonly SpanRecord[]): readonly Row[] {
  const known = new Set(spans.map((span) => span.spanId));
  const sorted = [...spans].sort((a, b) => ascending(a.startNanos, b.startNanos));
  const children = Map.groupBy(sorted, (span) => (known.has(span.parentSpanId) ? span.parentSpanId : ""));
  const row = (span: SpanRecord, depth: number, above: string): Row => {
    const agent = String(span.attributes["agent.id"] ?? (span.kind === "server" ? "" : above)).slice(0, agentColumns);
    return { span, depth, agent };
  };
  const rows: Row[] = [];
  const open = (children.get("") ?? []).map((span) => row(span, 0, "")).reverse();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { span, depth, agent } = next;
    rows.push(next);
    for (const child of [...(children.get(span.spanId) ?? [])].reverse()) open.push(row(child, depth + 1, agent));
  }
  return rows;
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function seconds(nanos: number): string {
  const ms = nanos / 1e6;
  return ms < 1000 ? `${ms.toFixed(1)}ms` : `${(ms / 1000).toFixed(2)}s`;
}

function fit(text: string, width: number): string {
  const line = text.replace(/\s/g, " ");
  return line.length > width ? `${line.slice(0, width - 1)}…` : line.padEnd(width);
}
