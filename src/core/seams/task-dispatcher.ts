import type { Platform } from "../values/platform.ts";
import type { TaskBody, TaskKind, TaskResult } from "../values/task.ts";
import type { ProgressWriter } from "./progress.ts";
import type { SessionGroup } from "./session-caller.ts";
import type { ChannelHandler } from "./task-channel.ts";

/** Runs tasks somewhere in the fleet: places, leases, retries infrastructure faults elsewhere, records new layers. */
export interface TaskDispatcher {
  /**
   * @throws BuildError from the task itself; FailedPrecondition when no agent can ever run it; Canceled on abort
   */
  run<K extends TaskKind>(kind: K, body: TaskBody<K>, context: DispatchContext): Promise<TaskResult<K>>;
}

export interface DispatchContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  readonly sessions: SessionGroup;
  /** Vertex the work is for; used for logs, spans and `buildfleet` status. */
  readonly vertex?: { readonly digest: string; readonly name: string };
  /** Refs of the builds that want it. */
  readonly builds?: readonly string[];
  /** Of a step. */
  readonly work?: StepWork;
  readonly platform?: Platform;
  /** Worker filters of the op (`constraints`). */
  readonly constraints?: readonly string[];
  /** Names of the devices that the agent must have. */
  readonly devices?: readonly string[];
  /** Serves the channels which the task opens; without it there are none. */
  readonly onChannel?: ChannelHandler;
  /** Same value → same agent when it lives: local contexts, git mirrors. */
  readonly affinity?: string;
  /** What another coordinator has an agent do now, the very same task, will do. */
  readonly shared?: boolean;
  readonly traceparent?: string;
}

/** What a scheduler wants to know of a step. */
export interface StepWork {
  /** Expected seconds from its start to the end of the graph. */
  readonly rank: number;
  /** Steps with the same key are expected to take the same. */
  readonly historyKey?: string;
}
