import type { ExportContext, Exporter, ExporterInstance, ExportOutcome, ExportSource } from "../core/seams/exporter.ts";
import { inSpan } from "../telemetry/index.ts";

/** Spans for the work of an exporter: one named as its vertex, and `finalize: <vertex>` for what may come after. */
export class TracingExporter implements Exporter {
  readonly type: string;
  readonly #inner: Exporter;

  constructor(inner: Exporter) {
    this.type = inner.type;
    this.#inner = inner;
  }

  resolve(attrs: Readonly<Record<string, string>>, exporterId: number): ExporterInstance {
    return new TracingExporterInstance(this.type, this.#inner.resolve(attrs, exporterId));
  }
}

class TracingExporterInstance implements ExporterInstance {
  readonly name: string;
  readonly #type: string;
  readonly #inner: ExporterInstance;

  constructor(type: string, inner: ExporterInstance) {
    this.name = inner.name;
    this.#type = type;
    this.#inner = inner;
  }

  async export(source: ExportSource, context: ExportContext): Promise<ExportOutcome> {
    const outcome = await this.#inSpan(this.name, context, (inner) => this.#inner.export(source, inner));
    const { finalize } = outcome;
    if (finalize === undefined) return outcome;
    return { ...outcome, finalize: (later) => this.#inSpan(`finalize: ${this.name}`, later, finalize) };
  }

  #inSpan<R>(name: string, context: ExportContext, work: (context: ExportContext) => Promise<R>): Promise<R> {
    const options = { parent: context.traceparent, attributes: { exporter: this.#type } };
    return inSpan(name, options, ({ traceparent }) =>
      work(traceparent === undefined ? context : { ...context, traceparent }),
    );
  }
}
