import type { UsageRecord } from "../../api/gen/control.ts";
import { timestampMs, timestampText } from "../../client/progress/index.ts";

type Timestamp = UsageRecord["CreatedAt"];

/** A time as Go prints it: `2026-01-02 03:04:05.5 +0000 UTC`. */
export function goTimeText(time: Timestamp): string {
  const at = time === undefined ? "0001-01-01T00:00:00Z" : timestampText(time);
  return at.replace("T", " ").replace("Z", " +0000 UTC");
}

/** RFC 3339 in the time zone of this process, seconds only; empty for none. */
export function localTimeText(time: Timestamp): string {
  if (time === undefined) return "";
  const date = new Date(timestampMs(time));
  const ahead = -date.getTimezoneOffset();
  const shown = new Date(date.getTime() + ahead * 60_000).toISOString().slice(0, 19);
  if (ahead === 0) return `${shown}Z`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${shown}${ahead < 0 ? "-" : "+"}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`;
}

/** A time span of whole seconds as Go prints it: `48h0m0s`. */
export function goDuration(nanoseconds: bigint): string {
  const seconds = Number(nanoseconds / 1_000_000_000n);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
