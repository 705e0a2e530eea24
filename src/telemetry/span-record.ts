import type { Attributes as ApiAttributes, HrTime } from "@opentelemetry/api";
import { SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { type Attributes, type SpanRecord, spanKinds } from "./otlp-spans.ts";

let service = "";

/** What the spans of this process are said to come from. */
export function nameService(name: string): void {
  service = name;
}

/** A span of this process that has ended, as it would arrive at a collector. */
export function spanRecord(span: ReadableSpan): SpanRecord {
  const { traceId, spanId } = span.spanContext();
  const { code, message = "" } = span.status;
  return {
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? "",
    name: span.name,
    kind: spanKinds[span.kind] ?? "internal",
    startNanos: nanos(span.startTime),
    endNanos: nanos(span.endTime),
    attributes: attributes(span.attributes),
    events: span.events.map((event) => ({
      name: event.name,
      nanos: nanos(event.time),
      attributes: attributes(event.attributes ?? {}),
    })),
    ...(code === SpanStatusCode.ERROR ? { error: message } : {}),
    service,
  };
}

function nanos([seconds, rest]: HrTime): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

/** Lists may have holes in the API's type; nobody here sets such. */
function attributes(values: ApiAttributes): Attributes {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Attributes;
}
