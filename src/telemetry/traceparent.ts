import { isSpanContextValid, type SpanContext } from "@opentelemetry/api";

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads `00-<trace id>-<span id>-<flags>` (W3C Trace Context level 1). @returns undefined for what is none */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const match = text === undefined ? null : pattern.exec(text);
  if (match === null) return undefined;
  const [, version = "", traceId = "", spanId = "", flags = "", rest] = match;
  // Later versions may have more fields, version 0 has none and ff is forbidden.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(context) ? context : undefined;
}

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, "0")}`;
}
