import type { BuildError } from "../../core/errors/build-error.ts";
import type { FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { currentTraceparent, type Span, startSpan } from "../../telemetry/index.ts";
import type { ActiveBuild, BuildService, SolveParams } from "../front-door/index.ts";

/** Gives each build a span, under the call that began it. */
export class TracingBuildService implements BuildService {
  readonly #inner: BuildService;
  readonly diskUsage: BuildService["diskUsage"];
  readonly prune: BuildService["prune"];
  readonly workers: BuildService["workers"];

  constructor(inner: BuildService) {
    this.#inner = inner;
    this.diskUsage = (query, signal) => inner.diskUsage(query, signal);
    this.prune = (query, signal) => inner.prune(query, signal);
    this.workers = (filters) => inner.workers(filters);
  }

  async start(params: SolveParams, signal: AbortSignal): Promise<ActiveBuild> {
    const span = startSpan("build", {
      parent: currentTraceparent() ?? params.traceparent,
      attributes: {
        "build.ref": params.ref,
        "build.frontend": params.frontend,
        "build.exporters": params.exporters.map(({ type }) => type),
      },
    });
    const { traceparent } = span;
    try {
      const build = await this.#inner.start(traceparent === undefined ? params : { ...params, traceparent }, signal);
      return new TracingBuild(build, span);
    } catch (error) {
      span.end(error);
      throw error;
    }
  }
}

class TracingBuild implements ActiveBuild {
  readonly bridge: LlbBridge;
  readonly #inner: ActiveBuild;
  readonly #span: Span;

  constructor(inner: ActiveBuild, span: Span) {
    this.bridge = inner.bridge;
    this.#inner = inner;
    this.#span = span;
  }

  async finish(result: FrontendResult): Promise<Readonly<Record<string, string>>> {
    try {
      const response = await this.#inner.finish(result);
      this.#span.end();
      return response;
    } catch (error) {
      this.#span.end(error);
      throw error;
    }
  }

  async fail(error: BuildError): Promise<void> {
    await this.#inner.fail(error);
    this.#span.end(error);
  }

  progress(signal: AbortSignal): AsyncIterable<SolveProgress> {
    return this.#inner.progress(signal);
  }
}
