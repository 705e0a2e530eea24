import type { SpanRecord } from "../../../../src/telemetry/index.ts";

/** A trace, named by a hexadecimal digit. */
export function traceOf(digit: string, spanId = "f".repeat(16)): string {
  return `00-${digit.repeat(32)}-${spanId}-01`;
}

/** A span of the trace `traceOf(digit)`. */
export function span(digit: string, name: string, more: Partial<SpanRecord> = {}): SpanRecord {
  return {
    traceId: digit.repeat(32),
    spanId: "1".repeat(16),
    parentSpanId: "",
    name,
    kind: "internal",
    startNanos: 1_767_323_045_000_000_007n,
    endNanos: 1_767_323_046_120_000_000n,
    attributes: {},
    events: [],
    service: "test",
    ...more,
  };
}
