import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { OpContext } from "../core/seams/op.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import { currentCompatibilityVersion } from "../core/values/compatibility-version.ts";
import type { JobMember } from "./solve-context.ts";
import type { VertexState } from "./vertex-state.ts";

/** What the op of a vertex is told of the jobs that want it: as it asks, for a job may join while it runs, and lends its sessions. */
export function opContext<T>(state: VertexState<T>, signal: AbortSignal): OpContext {
  const { jobs, context, progress, traceparent, vertex } = state;
  return {
    signal,
    progress,
    get sessions(): SessionGroup {
      return context.sessionGroup([...new Set(Array.from(jobs, (job) => job.sessionIds).flat())]);
    },
    get builds(): readonly string[] {
      return Array.from(jobs, ({ id }) => id);
    },
    ...(traceparent === undefined ? {} : { traceparent }),
    vertex,
    get compatibilityVersion(): number {
      return commonCompatibilityVersion(jobs);
    },
  };
}

/** As BuildKit solver/jobs.go, and with its words. */
function commonCompatibilityVersion(jobs: Iterable<JobMember>): number {
  const [version = currentCompatibilityVersion, other] = new Set(Array.from(jobs, (job) => job.compatibilityVersion));
  if (other === undefined) return version;
  throw new BuildError(
    Code.Unknown,
    `conflicting compatibility versions in shared solve state: ${version} != ${other}`,
  );
}
