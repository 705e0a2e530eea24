import * as control from "../../api/gen/control.ts";
import type { Timestamp } from "../../api/gen/google/protobuf/timestamp.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { progressMessages } from "../front-door/progress-messages.ts";
import { msFromTimestamp } from "../front-door/timestamp.ts";

export const statusLogType = "application/vnd.buildkit.status.v0";

/** A message of ours is at most a little over a megabyte; anything near this is no status log. */
const maxMessageBytes = 64 << 20;

/** A batch of progress as it lies in a status log: each message after its length, four bytes little-endian (BuildKit solver/llbsolver/history). */
export function* encodeStatusLog(progress: SolveProgress): Generator<Uint8Array, void, undefined> {
  for (const message of progressMessages(progress)) {
    const bytes = control.StatusResponse.encode(message).finish();
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length, true);
    yield length;
    yield bytes;
  }
}

/** The reverse, whatever pieces the bytes come in. @throws BuildError DataLoss when the log is cut short */
export async function* decodeStatusLog(log: AsyncIterable<Uint8Array>): AsyncGenerator<SolveProgress, void, undefined> {
  let rest = Buffer.alloc(0);
  for await (const chunk of log) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const length = rest.readUInt32LE(at);
      if (length > maxMessageBytes) throw new BuildError(Code.DataLoss, `status log has a message of ${length} bytes`);
      if (rest.length - at - 4 < length) break;
      yield fromMessage(control.StatusResponse.decode(rest.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    rest = rest.subarray(at);
  }
  if (rest.length > 0) throw new BuildError(Code.DataLoss, "status log ends within a message");
}

function fromMessage(message: control.StatusResponse): SolveProgress {
  return {
    vertexes: message.vertexes.map(({ started, completed, progressGroup, ...vertex }) => ({
      ...vertex,
      ...times(started, completed),
      ...(progressGroup === undefined ? {} : { progressGroup }),
    })),
    statuses: message.statuses.map(({ ID, timestamp, started, completed, ...status }) => ({
      ...status,
      id: ID,
      timestamp: msFromTimestamp(timestamp) ?? 0,
      ...times(started, completed),
    })),
    logs: message.logs.map((log) => ({
      vertex: log.vertex,
      stream: log.stream === 2 ? 2 : 1,
      data: log.msg,
      timestamp: msFromTimestamp(log.timestamp) ?? 0,
    })),
    warnings: message.warnings.map(({ short, detail, info, ...warning }) => ({
      ...warning,
      short: Buffer.from(short).toString(),
      detail: detail.map((line) => Buffer.from(line).toString()),
      ...(info === undefined ? {} : { info }),
    })),
  };
}

function times(started: Timestamp | undefined, completed: Timestamp | undefined) {
  const startedAt = msFromTimestamp(started);
  const completedAt = msFromTimestamp(completed);
  return { ...(startedAt === undefined ? {} : { startedAt }), ...(completedAt === undefined ? {} : { completedAt }) };
}
