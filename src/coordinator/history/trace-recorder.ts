import { subjects } from "../../bus/index.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { onSpanEnded, parseTraceparent, type SpanRecord } from "../../telemetry/index.ts";
import { decode } from "../../util/msgpack.ts";

/** Some megabytes; a build of two thousand steps has fewer. What comes later is left out. */
const maxSpansPerTrace = 50_000;

/** The spans of one build as they come in; stop it exactly once. */
export interface TraceRecording {
  /** Ends the recording. @returns what belongs to the build, and what is of no build: its client's spans */
  stop(): readonly SpanRecord[];
}

interface Trace {
  readonly spans: SpanRecord[];
  /** The spans that stand for the builds recorded in this trace, e.g. those of a bake. */
  readonly roots: Set<string>;
  readonly fromAgents: Disposable;
  recordings: number;
}

/**
 * Collects the spans of builds from this process, from agents over the bus and from clients (`add`), for as long as a build
 * of their trace is recorded (BuildKit util/tracing/detect/recorder.go).
 */
export class TraceRecorder implements Disposable {
  readonly #bus: MessageBus;
  readonly #own: Disposable;
  readonly #traces = new Map<string, Trace>();

  constructor(bus: MessageBus) {
    this.#bus = bus;
    this.#own = onSpanEnded((span) => this.#add(span));
  }

  /** @param traceparent of the span that stands for the build; undefined when there is nothing to record */
  record(traceparent: string | undefined): TraceRecording | undefined {
    const parsed = parseTraceparent(traceparent);
    if (parsed === undefined) return undefined;
    const { traceId, spanId } = parsed;
    const trace = this.#traces.get(traceId) ?? this.#open(traceId);
    trace.recordings++;
    trace.roots.add(spanId);
    const first = trace.spans.length;
    return {
      stop: () => {
        if (--trace.recordings === 0) this.#close(traceId, trace);
        return withoutOtherBuilds(trace.spans.slice(first), spanId, trace.roots);
      },
    };
  }

  /** Spans from elsewhere; those of traces that nobody records are dropped. */
  add(spans: readonly SpanRecord[]): void {
    for (const span of spans) this.#add(span);
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
    for (const [traceId, trace] of this.#traces) this.#close(traceId, trace);
  }

  #add(span: SpanRecord): void {
    const trace = this.#traces.get(span.traceId);
    if (trace !== undefined && trace.spans.length < maxSpansPerTrace) trace.spans.push(span);
  }

  #open(traceId: string): Trace {
    const subject = subjects.traceSpans(traceId);
    const fromAgents = this.#bus.subscribe(subject, ({ data }) => this.add(decode<SpanRecord[]>(data)));
    const trace = { spans: [], roots: new Set<string>(), fromAgents, recordings: 0 };
    this.#traces.set(traceId, trace);
    return trace;
  }

  #close(traceId: string, trace: Trace): void {
    trace.fromAgents[Symbol.dispose]();
    this.#traces.delete(traceId);
  }
}

/** Spans that are not below the root of another build. */
function withoutOtherBuilds(
  spans: readonly SpanRecord[],
  own: string,
  roots: ReadonlySet<string>,
): readonly SpanRecord[] {
  const parents = new Map(spans.map(({ spanId, parentSpanId }) => [spanId, parentSpanId]));
  const ofOthers = new Map<string, boolean>([...roots].map((root) => [root, root !== own]));
  const isOfAnother = (spanId: string): boolean => {
    const path: string[] = [];
    let at: string | undefined = spanId;
    // A client may send spans that are their own ancestors.
    while (at !== undefined && !ofOthers.has(at)) {
      path.push(at);
      ofOthers.set(at, false);
      at = parents.get(at);
    }
    const found = at !== undefined && ofOthers.get(at) === true;
    for (const id of path) ofOthers.set(id, found);
    return found;
  };
  return spans.filter(({ spanId }) => !isOfAnother(spanId));
}
