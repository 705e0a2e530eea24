import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { OpResolver, Vertex } from "../core/seams/op.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { CacheManager } from "./cache-manager.ts";
import type { ProgressSink } from "./progress-event.ts";
import type { RunIndex } from "./run-index.ts";

/** What all vertices of one solver share. */
export interface SolveContext<T> {
  readonly resolver: OpResolver<T>;
  readonly cache: CacheManager<T>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sessionGroup: (ids: readonly string[]) => SessionGroup;
  /** Its scheduling goes into the log in detail. */
  readonly debugs: (vertex: Vertex) => boolean;
  readonly mergeVertices: (known: Vertex, other: Vertex) => Vertex;
  readonly releaseResult: ((result: T) => void) | undefined;
  /** An error that says that something is lost means this result. */
  readonly isLost: (error: Error, result: T) => boolean;
  readonly runs: RunIndex<T>;
  /** Ends of vertices that were dropped while their op still wound down, by digest. */
  readonly draining: Map<string, Promise<void>>;
}

/** The side of a job that vertices see. */
export interface JobMember {
  readonly id: string;
  readonly sessionIds: readonly string[];
  readonly traceparent: string | undefined;
  readonly compatibilityVersion: number;
  readonly progressSink: ProgressSink;
}
