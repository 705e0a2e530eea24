export { MemoryTrace } from "./memory-trace.ts";
export { type MetricsServer, serveMetrics } from "./metrics-server.ts";
export { otlpForwarder } from "./otlp-forwarder.ts";
export { decodeSpans, type SpanRecord, spanKinds } from "./otlp-spans.ts";
export { createLogger, type PinoLoggerOptions } from "./pino-logger.ts";
export {
  currentTraceparent,
  inSpan,
  onSpanEnded,
  type Span,
  type SpanOptions,
  startSpan,
  traceFields,
} from "./span.ts";
export { parseTraceparent } from "./traceparent.ts";
export { startTracing, type Tracing, type TracingOptions } from "./tracing.ts";
export { renderWaterfall } from "./waterfall.ts";
