import { StatusResponse } from "../../../src/api/gen/control.ts";

/** A protobuf timestamp of seconds since some beginning. */
export function at(seconds: number) {
  const whole = Math.floor(seconds);
  return { seconds: BigInt(1_700_000_000 + whole), nanos: Math.round((seconds - whole) * 1e9) };
}

interface VertexFields {
  readonly name?: string;
  readonly started?: number;
  readonly completed?: number;
  readonly cached?: boolean;
  readonly error?: string;
  readonly group?: { readonly id: string; readonly name: string; readonly weak?: boolean };
}

export function vertex(digest: string, fields: VertexFields) {
  return StatusResponse.fromPartial({
    vertexes: [
      {
        digest,
        name: fields.name ?? digest,
        cached: fields.cached ?? false,
        error: fields.error ?? "",
        ...(fields.started === undefined ? {} : { started: at(fields.started) }),
        ...(fields.completed === undefined ? {} : { completed: at(fields.completed) }),
        ...(fields.group === undefined ? {} : { progressGroup: { weak: false, ...fields.group } }),
      },
    ],
  });
}

interface StatusFields {
  readonly current?: number;
  readonly total?: number;
  readonly time: number;
  readonly started: number;
  readonly completed?: number;
}

export function status(digest: string, id: string, fields: StatusFields) {
  return StatusResponse.fromPartial({
    statuses: [
      {
        ID: id,
        vertex: digest,
        current: fields.current ?? 0,
        total: fields.total ?? 0,
        timestamp: at(fields.time),
        started: at(fields.started),
        ...(fields.completed === undefined ? {} : { completed: at(fields.completed) }),
      },
    ],
  });
}

export function log(digest: string, time: number, text: string, stream = 1) {
  return StatusResponse.fromPartial({
    logs: [{ vertex: digest, timestamp: at(time), stream, msg: Buffer.from(text) }],
  });
}

export function warning(digest: string, text: string) {
  return StatusResponse.fromPartial({ warnings: [{ vertex: digest, level: 1, short: Buffer.from(text) }] });
}

/** Collects what is written. */
export class TextBuffer {
  text = "";
  columns = 60;
  rows = 12;

  write(text: string): void {
    this.text += text;
  }
}
