import { type SpanRecord, spanKinds } from "../../telemetry/index.ts";

export const traceType = "application/vnd.buildkit.otlp.json.v0";

/** Small enough not to hold up the event loop. */
const spansPerChunk = 200;

/**
 * Spans as the blob that a record names as its trace: one JSON object after the other, each as Go's OpenTelemetry SDK shows
 * a span (BuildKit solver/llbsolver/history.go; go.opentelemetry.io/otel/sdk/trace/tracetest SpanStub).
 */
export async function* encodeTrace(spans: readonly SpanRecord[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < spans.length; at += spansPerChunk) {
    const lines = spans.slice(at, at + spansPerChunk).map((span) => `${JSON.stringify(spanStub(span))}\n`);
    yield Buffer.from(lines.join(""));
  }
}

function spanStub(span: SpanRecord): unknown {
  const scope = { Name: "buildfleet", Version: "", SchemaURL: "", Attributes: {} };
  return {
    Name: span.name,
    SpanContext: spanContext(span.traceId, span.spanId),
    Parent:
      span.parentSpanId === ""
        ? { TraceID: "0".repeat(32), SpanID: "0".repeat(16), TraceFlags: "00", TraceState: "", Remote: false }
        : spanContext(span.traceId, span.parentSpanId),
    // 0 is one of which nobody knows the kind.
    SpanKind: spanKinds.indexOf(span.kind) + 1,
    StartTime: time(span.startNanos),
    EndTime: time(span.endNanos),
    Attributes: keyValues(span.attributes),
    Events: span.events.map(({ name, nanos, attributes }) => ({
      Name: name,
      Attributes: keyValues(attributes),
      DroppedAttributeCount: 0,
      Time: time(nanos),
    })),
    Links: null,
    Status: span.error === undefined ? { Code: 0, Description: "" } : { Code: 1, Description: span.error },
    DroppedAttributes: 0,
    DroppedEvents: 0,
    DroppedLinks: 0,
    ChildSpanCount: 0,
    Resource: keyValues({ "service.name": span.service }),
    InstrumentationScope: scope,
    InstrumentationLibrary: scope,
  };
}

/** Only what is sampled is recorded. */
function spanContext(traceId: string, spanId: string) {
  return { TraceID: traceId, SpanID: spanId, TraceFlags: "01", TraceState: "", Remote: false };
}

/** RFC 3339 with nanoseconds. */
function time(nanos: bigint): string {
  const seconds = new Date(Number(nanos / 1_000_000_000n) * 1000).toISOString().slice(0, "2026-01-02T03:04:05".length);
  return `${seconds}.${(nanos % 1_000_000_000n).toString().padStart(9, "0")}Z`;
}

function keyValues(attributes: SpanRecord["attributes"]) {
  return Object.entries(attributes).map(([Key, value]) => ({ Key, Value: { Type: typeOf(value), Value: value } }));
}

/** Names of Go's attribute types. */
function typeOf(value: SpanRecord["attributes"][string]): string {
  if (typeof value === "object") return value.length === 0 ? "STRINGSLICE" : `${typeOf(value[0] ?? "")}SLICE`;
  if (typeof value === "number") return Number.isInteger(value) ? "INT64" : "FLOAT64";
  return typeof value === "boolean" ? "BOOL" : "STRING";
}
