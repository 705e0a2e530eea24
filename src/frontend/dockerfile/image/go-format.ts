import { quote } from "../text.ts";

/** Forms in which history lines print values; they follow Go's fmt because the lines are part of the image. */

/** `[a b]`, as `%v` prints a list. */
export function formatList(values: readonly string[]): string {
  return `[${values.join(" ")}]`;
}

/** `["a" "b"]`, as `%q` prints a list. */
export function formatQuotedList(values: readonly string[]): string {
  return `[${values.map(quote).join(" ")}]`;
}

/** `1h2m3.5s`, `250ms`, `0s`: time.Duration's text. */
export function formatDuration(nanos: number): string {
  if (nanos === 0) return "0s";
  const sign = nanos < 0 ? "-" : "";
  const value = Math.abs(nanos);
  if (value < 1e3) return `${sign}${value}ns`;
  if (value < 1e6) return `${sign}${value / 1e3}µs`;
  if (value < 1e9) return `${sign}${value / 1e6}ms`;
  const total = BigInt(value);
  const seconds = total / 1_000_000_000n;
  const fraction = (total % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const hours = seconds / 3600n;
  const minutes = (seconds / 60n) % 60n;
  const rest = `${seconds % 60n}${fraction === "" ? "" : `.${fraction}`}s`;
  if (hours > 0n) return `${sign}${hours}h${minutes}m${rest}`;
  return minutes > 0n ? `${sign}${minutes}m${rest}` : `${sign}${rest}`;
}

/** RFC 3339 in UTC without a fraction, as Go writes whole seconds. */
export function formatUnixTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
