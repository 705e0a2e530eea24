import type { Descriptor } from "../values/descriptor.ts";
import type { LayerId, LayerInfo, Ref } from "../values/layer.ts";
import type { Compression, LayerBlob, Task, TaskKind, TaskResult } from "../values/task.ts";
import type { Logger } from "./logger.ts";
import type { ProgressWriter } from "./progress.ts";
import type { SessionGroup } from "./session-caller.ts";
import type { ActiveSnapshot, MountedView } from "./snapshotter.ts";

/** Runs one kind of task on an agent. Registered by kind in the agent's main. Releases all it took on every path. */
export interface OpRunner<K extends TaskKind> {
  readonly kind: K;
  run(task: Task<K>, context: RunContext): Promise<TaskResult<K>>;
}

/** A runner for every kind of task. */
export type OpRunners = { readonly [K in TaskKind]: OpRunner<K> };

export interface RunContext {
  readonly signal: AbortSignal;
  readonly sessions: SessionGroup;
  readonly progress: ProgressWriter;
  readonly logger: Logger;
  readonly layers: LayerService;
  /** The agent's disk is as good as full: nothing is kept that can be done without. Absent: it never is. */
  readonly diskIsFull?: () => Promise<boolean>;
}

/**
 * The layers of a running task: makes the ones it needs present, then hands out directories. Layers used through it stay
 * pinned until the task ends.
 */
export interface LayerService {
  /** Fetches what is missing (from peers, then origins), in parallel, verified, and shows the stack read-only. */
  view(ref: Ref, signal: AbortSignal): Promise<MountedView>;
  /** As `view`, writable. */
  prepare(ref: Ref, signal: AbortSignal): Promise<ActiveSnapshot>;
  /** Present and unpacked afterwards. */
  ensure(ref: Ref, signal: AbortSignal): Promise<void>;
  /** A fresh id for a layer born here. */
  newId(): LayerId;
  /** The record of a layer just committed here, to be put in a result. */
  born(id: LayerId, sizeBytes: number, description: string, recordType?: string): LayerInfo;
  info(id: LayerId): LayerInfo | undefined;
  /**
   * The layer as a blob of the wanted compression, cut at most once at a time.
   * @returns the layer's record with the blob added, and the blob
   */
  pack(
    id: LayerId,
    compression: Compression,
    signal: AbortSignal,
  ): Promise<{ readonly info: LayerInfo; readonly descriptor: Descriptor }>;
  /** Bytes of a blob: local store, else a holder, else an origin, else cut from its layer again. Verified. */
  openBlob(blob: LayerBlob, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
