import type { SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { Job } from "../../solver/index.ts";
import { inSpan } from "../../telemetry/index.ts";
import type { SourceMetaResolver } from "./source-meta-resolver.ts";

export interface BuildSourceMetaOptions {
  readonly job: Job<Ref>;
  readonly resolver: SourceMetaResolver;
  readonly sessions: SessionGroup;
  readonly traceparent?: string;
}

/** Metadata of sources for one build. Each look-up shows as a vertex; no policy is asked. */
export class BuildSourceMeta {
  readonly #options: BuildSourceMetaOptions;

  constructor(options: BuildSourceMetaOptions) {
    this.#options = options;
  }

  resolve(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta> {
    const { job, resolver, sessions, traceparent: parent } = this.#options;
    const name = request.logName ?? `resolve image config for ${request.source.identifier}`;
    return job.inVertex(
      name,
      (progress, linked) =>
        inSpan(name, { parent }, ({ traceparent }) =>
          resolver.resolve(request, {
            signal: linked,
            progress,
            sessions,
            ...(traceparent === undefined ? {} : { traceparent }),
          }),
        ),
      signal,
    );
  }
}
