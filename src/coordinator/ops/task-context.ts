import type { OpContext, Vertex } from "../../core/seams/op.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";

/** For whom a task of a vertex runs. */
export function taskContext(vertex: Vertex, context: OpContext, more: Partial<DispatchContext> = {}): DispatchContext {
  const { signal, progress, sessions, builds, traceparent } = context;
  return {
    signal,
    progress,
    sessions,
    builds,
    vertex: { digest: vertex.digest, name: vertex.name },
    shared: !vertex.options.ignoreCache,
    ...(traceparent === undefined ? {} : { traceparent }),
    ...more,
  };
}

/** Where the op of a vertex may run. */
export function placementOf(payload: LlbPayload): {
  readonly platform: Platform;
  readonly constraints: readonly string[];
} {
  return { platform: payload.platform, constraints: payload.op.constraints?.filter ?? [] };
}
