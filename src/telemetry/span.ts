import {
  type Span as ApiSpan,
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import type { SpanRecord } from "./otlp-spans.ts";
import { spanRecord } from "./span-record.ts";
import { formatTraceparent, parseTraceparent } from "./traceparent.ts";

export interface SpanOptions {
  /** W3C traceparent of the parent. Default: the span around the caller; without one there is no span (BuildKit util/tracing). */
  readonly parent?: string | undefined;
  /** Never a secret's value. */
  readonly attributes?: Attributes;
  readonly kind?: "internal" | "server" | "client";
  /** Begins a trace when there is no parent. */
  readonly root?: boolean;
}

/** A piece of work in a trace. As long as no tracing was started it records nothing and hands on its parent's context. */
export interface Span {
  /** For whatever carries the trace on; undefined outside of a trace. */
  readonly traceparent: string | undefined;
  set(attributes: Attributes): void;
  /** Ends it, as failed when there is an error. Later calls do nothing. */
  end(error?: unknown): void;
}

const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT };

type SpanListener = (span: SpanRecord) => void;
const listeners = new Set<SpanListener>();

/** Tells of each span of this process that ends from now on, if it is one that its trace's client samples. */
export function onSpanEnded(listener: SpanListener): Disposable {
  listeners.add(listener);
  return { [Symbol.dispose]: () => listeners.delete(listener) };
}

const noSpan: Span = { traceparent: undefined, set: () => {}, end: () => {} };

/** Runs `work` in a span of its own, which is the parent of all spans begun within. Errors are recorded and pass through. */
export async function inSpan<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const parent = parentContext(options);
  if (parent === undefined) return work(noSpan);
  const span = new ApiBackedSpan(name, options, parent);
  try {
    const result = await context.with(trace.setSpan(parent, span.inner), work, undefined, span);
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** A span for work that is no single function, e.g. an open stream. The caller ends it on every path. */
export function startSpan(name: string, options: SpanOptions = {}): Span {
  const parent = parentContext(options);
  return parent === undefined ? noSpan : new ApiBackedSpan(name, options, parent);
}

/** Context of the span around the caller, for a message to another process. */
export function currentTraceparent(): string | undefined {
  const current = trace.getActiveSpan()?.spanContext();
  return current === undefined || !isSpanContextValid(current) ? undefined : formatTraceparent(current);
}

/** `traceId` and `spanId` of the span around the caller, for log lines. */
export function traceFields(): Record<string, string> {
  const current = trace.getActiveSpan()?.spanContext();
  return current === undefined || !isSpanContextValid(current)
    ? {}
    : { traceId: current.traceId, spanId: current.spanId };
}

function parentContext({ parent, root }: SpanOptions): Context | undefined {
  const remote = parseTraceparent(parent);
  if (remote !== undefined) return trace.setSpanContext(ROOT_CONTEXT, remote);
  const active = context.active();
  if (trace.getSpanContext(active) !== undefined) return active;
  return root === true ? ROOT_CONTEXT : undefined;
}

class ApiBackedSpan implements Span {
  readonly inner: ApiSpan;
  #ended = false;

  constructor(name: string, { attributes, kind = "internal" }: SpanOptions, parent: Context) {
    // Looked up each time: tracing may be started after this module was loaded, and more than once in a test.
    const tracer = trace.getTracer("buildfleet");
    this.inner = tracer.startSpan(name, { kind: kinds[kind], ...(attributes && { attributes }) }, parent);
  }

  get traceparent(): string | undefined {
    const own = this.inner.spanContext();
    return isSpanContextValid(own) ? formatTraceparent(own) : undefined;
  }

  set(attributes: Attributes): void {
    this.inner.setAttributes(attributes);
  }

  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      this.inner.recordException({ name, message });
      this.inner.setStatus({ code: SpanStatusCode.ERROR, message });
    }
    // One that records is the SDK's, whose fields can be read.
    const recorded = listeners.size > 0 && this.inner.isRecording();
    this.inner.end();
    if (!recorded) return;
    const record = spanRecord(this.inner as unknown as ReadableSpan);
    for (const listener of listeners) listener(record);
  }
}
