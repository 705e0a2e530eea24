import type { Timestamp } from "../../api/gen/google/protobuf/timestamp.ts";

/** protobuf timestamp of Unix milliseconds; fractions are kept down to the microsecond. */
export function timestampFromMs(ms: number): Timestamp;
export function timestampFromMs(ms: number | undefined): Timestamp | undefined;
export function timestampFromMs(ms: number | undefined): Timestamp | undefined {
  if (ms === undefined) return undefined;
  const micros = Math.round(ms * 1000);
  const seconds = Math.floor(micros / 1e6);
  return { seconds: BigInt(seconds), nanos: (micros - seconds * 1e6) * 1000 };
}

/** Unix milliseconds, with fractions. */
export function msFromTimestamp(timestamp: Timestamp): number;
export function msFromTimestamp(timestamp: Timestamp | undefined): number | undefined;
export function msFromTimestamp(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6;
}
