import type { StatusResponse } from "../../api/gen/control.ts";
import type { Range, SourceInfo } from "../../api/gen/ops.ts";
import type { Display, TextSink } from "./display.ts";
import { timestampText } from "./timestamp.ts";

/** One line of JSON per message of the daemon, in the form of BuildKit's client.SolveStatus (client/graph.go). */
export class RawJsonDisplay implements Display {
  readonly #out: TextSink;

  constructor(out: TextSink) {
    this.#out = out;
  }

  update(status: StatusResponse): void {
    this.#out.write(`${statusJson(status)}\n`);
  }

  refresh(): void {}

  finish(): void {}
}

/** Empty and zero values are left out where Go's tags say so. */
export function statusJson(status: StatusResponse): string {
  const text = JSON.stringify({
    vertexes: filled(status.vertexes.map(vertexJson)),
    statuses: filled(status.statuses.map(statusItemJson)),
    logs: filled(status.logs.map(logJson)),
    warnings: filled(status.warnings.map(warningJson)),
  });
  return text.replace(/[<>&\u2028\u2029]/g, (ch) => `\\u${ch.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function vertexJson(vertex: StatusResponse["vertexes"][number]) {
  const group = vertex.progressGroup;
  return {
    digest: vertex.digest || undefined,
    inputs: filled(vertex.inputs),
    name: vertex.name || undefined,
    started: vertex.started && timestampText(vertex.started),
    completed: vertex.completed && timestampText(vertex.completed),
    cached: vertex.cached || undefined,
    error: vertex.error || undefined,
    progressGroup: group && {
      id: group.id || undefined,
      name: group.name || undefined,
      weak: group.weak || undefined,
    },
  };
}

function statusItemJson(status: StatusResponse["statuses"][number]) {
  return {
    id: status.ID,
    vertex: status.vertex || undefined,
    name: status.name || undefined,
    total: status.total || undefined,
    current: status.current,
    timestamp: timestampText(status.timestamp ?? noTime),
    started: status.started && timestampText(status.started),
    completed: status.completed && timestampText(status.completed),
  };
}

function logJson(log: StatusResponse["logs"][number]) {
  return {
    vertex: log.vertex || undefined,
    stream: log.stream || undefined,
    data: base64(log.msg),
    timestamp: timestampText(log.timestamp ?? noTime),
  };
}

function warningJson(warning: StatusResponse["warnings"][number]) {
  return {
    vertex: warning.vertex || undefined,
    level: warning.level || undefined,
    short: base64(warning.short) || undefined,
    detail: filled(warning.detail.map(base64)),
    url: warning.url || undefined,
    sourceInfo: warning.info && sourceJson(warning.info),
    range: filled(warning.ranges.map(rangeJson)),
  };
}

function sourceJson(info: SourceInfo) {
  return {
    filename: info.filename || undefined,
    data: base64(info.data) || undefined,
    language: info.language || undefined,
  };
}

function rangeJson(range: Range) {
  const position = (at: Range["start"]) => at && { line: at.line || undefined, character: at.character || undefined };
  return { start: position(range.start), end: position(range.end) };
}

const noTime = { seconds: 0n, nanos: 0 };

function filled<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
