import type { WireError } from "../errors/build-error.ts";
import type { ProgressStatus, ProgressWarning } from "../seams/progress.ts";
import type { CdiDevice } from "./cdi-device.ts";
import type { FailedState } from "./failed-state.ts";
import type { Platform } from "./platform.ts";
import type { Resources } from "./resources.ts";

/** What an agent says of itself every heartbeat. Soft state: a coordinator knows the agents it hears. */
export interface AgentRecord {
  /** Kept in the agent's data directory, so a restarted agent is the same holder. */
  readonly id: string;
  /** New at each start of the process: tasks given to an earlier one are lost. */
  readonly epoch: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Native first. */
  readonly platforms: readonly Platform[];
  /** That it can give to steps, in order of name; absent = none. */
  readonly devices?: readonly CdiDevice[];
  /** What it removes by itself, in order; none when it does not clean up. */
  readonly gcPolicy: readonly PruneOptions[];
  readonly capacity: Resources;
  /** What its running tasks were said to need, by coordinator. */
  readonly occupied: Readonly<Record<string, Resources>>;
  /** `http://host:port` of its blob server. */
  readonly blobUrl: string;
  readonly draining: boolean;
  /** Its last words: whatever still runs there ends now. */
  readonly leaving?: boolean;
  /** Ids of tasks running now. */
  readonly running: readonly string[];
  /** `Task.step` of what it runs, or has run and could tell nobody: who offers one of them shares the result. */
  readonly steps?: readonly string[];
  readonly version: string;
  /** Absent with agents that do not measure. */
  readonly transfers?: AgentTransfers;
}

/** Bytes that an agent has moved since it started, as they were on the wire. */
export interface AgentTransfers {
  /** From other agents. */
  readonly receivedBytes: number;
  /** To other agents. */
  readonly sentBytes: number;
  /** Layers from registries and client sessions. */
  readonly originBytes: number;
  /** How fast layers come from other agents; absent until enough did. */
  readonly bytesPerSecond?: number;
}

/** Answer to a task offer. */
export type TaskOfferReply = { readonly accepted: true } | { readonly accepted: false; readonly reason: string };

/** Ends a task. Without a lease: said by another coordinator, which takes the task's own for dead. */
export interface TaskCancel {
  readonly taskId: string;
  readonly leaseId?: string;
}

/** What an agent sends about a running task, in order; `seq` counts from 0. */
export type TaskEvent = { readonly leaseId: string; readonly seq: number } & (
  | { readonly type: "status"; readonly status: ProgressStatus }
  | { readonly type: "log"; readonly stream: 1 | 2; readonly data: Uint8Array; readonly at: number }
  | { readonly type: "warning"; readonly warning: ProgressWarning }
  | { readonly type: "chunk"; readonly data: Uint8Array }
);

/** How a task ended. Sent until the coordinator acknowledges. */
export type TaskOutcome = { readonly leaseId: string; readonly seq: number; readonly fetched: readonly string[] } & (
  | { readonly type: "result"; readonly result: unknown }
  | { readonly type: "error"; readonly error: WireError; readonly state?: FailedState }
);

/** One record of disk usage on an agent (map a3, h13). Times are Unix milliseconds. */
export interface UsageRecord {
  readonly id: string;
  readonly agentId: string;
  readonly mutable: boolean;
  readonly inUse: boolean;
  readonly sizeBytes: number;
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly usageCount: number;
  readonly description: string;
  readonly recordType: string;
  readonly shared: boolean;
  readonly parents: readonly string[];
}

/** What to prune (map a4, h10). */
export interface PruneOptions {
  readonly filter: readonly string[];
  readonly all: boolean;
  readonly keepDurationMs: number;
  readonly reservedSpace: number;
  readonly maxUsedSpace: number;
  readonly minFreeSpace: number;
}
