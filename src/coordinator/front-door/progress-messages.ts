import { StatusResponse } from "../../api/gen/control.ts";
import type { SolveProgress, VertexLog } from "../../core/values/solve-progress.ts";
import { timestampFromMs } from "./timestamp.ts";

/** Log bytes per message. A receiver takes 16 MiB; logs come in bursts and one message must not hold up the rest for long. */
const maxLogBytes = 1 << 20;
/** Entries of the other kinds per message, about 200 bytes each. */
const maxEntries = 4096;

/** A batch as wire messages (BuildKit client/status.go): nearly always one, more when logs or graphs are large. */
export function* progressMessages(progress: SolveProgress): Generator<StatusResponse, void, undefined> {
  const vertexes = progress.vertexes.map((vertex) => ({
    digest: vertex.digest,
    inputs: [...vertex.inputs],
    name: vertex.name,
    cached: vertex.cached,
    started: timestampFromMs(vertex.startedAt),
    completed: timestampFromMs(vertex.completedAt),
    error: vertex.error ?? "",
    progressGroup: vertex.progressGroup,
  }));
  const statuses = progress.statuses.map((status) => ({
    ID: status.id,
    vertex: status.vertex,
    name: status.name,
    current: Math.trunc(status.current),
    total: Math.trunc(status.total),
    timestamp: timestampFromMs(status.timestamp),
    started: timestampFromMs(status.startedAt),
    completed: timestampFromMs(status.completedAt),
  }));
  const warnings = progress.warnings.map((warning) => ({
    vertex: warning.vertex,
    level: warning.level,
    short: Buffer.from(warning.short),
    detail: warning.detail.map((line) => Buffer.from(line)),
    url: warning.url,
    info: warning.info,
    ranges: [...(warning.ranges ?? [])],
  }));
  let logsAt = 0;
  for (let at = 0; ; at += maxEntries) {
    const message = StatusResponse.fromPartial({});
    message.vertexes = vertexes.slice(at, at + maxEntries);
    message.statuses = statuses.slice(at, at + maxEntries);
    message.warnings = warnings.slice(at, at + maxEntries);
    for (let bytes = 0; logsAt < progress.logs.length && bytes < maxLogBytes; logsAt++) {
      const log = progress.logs[logsAt] as VertexLog;
      bytes += log.data.length + 64;
      message.logs.push({
        vertex: log.vertex,
        timestamp: timestampFromMs(log.timestamp),
        stream: log.stream,
        msg: log.data,
      });
    }
    const empty =
      message.vertexes.length + message.statuses.length + message.warnings.length + message.logs.length === 0;
    if (empty) return;
    yield message;
  }
}
