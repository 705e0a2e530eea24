import type { Timestamp } from "../../api/gen/google/protobuf/timestamp.ts";

/** Unix milliseconds with fractions. */
export function timestampMs(timestamp: Timestamp): number;
export function timestampMs(timestamp: Timestamp | undefined): number | undefined;
export function timestampMs(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6;
}

/** As Go's encoding/json writes a time: RFC 3339 in UTC, no trailing zeros in the fraction. */
export function timestampText(timestamp: Timestamp): string {
  const whole = new Date(Number(timestamp.seconds) * 1000).toISOString().slice(0, 19);
  const fraction = String(timestamp.nanos).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
