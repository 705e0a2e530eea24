import { silentLogger } from "../../src/core/seams/logger.ts";
import type { LayerService, RunContext } from "../../src/core/seams/op-runner.ts";
import type { ProgressStatus } from "../../src/core/seams/progress.ts";
import type { SessionGroup } from "../../src/core/seams/session-caller.ts";
import { noResources } from "../../src/core/values/resources.ts";
import type { Task, TaskBody, TaskKind } from "../../src/core/values/task.ts";
import { noSessions } from "./no-sessions.ts";

/** A task with nothing around its body. */
export function taskOf<K extends TaskKind>(kind: K, body: TaskBody<K>): Task<K> {
  return {
    id: "t1",
    leaseId: "l1",
    kind,
    body,
    layers: [],
    cacheMounts: [],
    peers: {},
    sessionIds: [],
    demand: noResources,
    coordinator: { id: "c1", address: "", token: "" },
  };
}

/** A run of a task; `lines` collects its progress. */
export function runContext(
  layers: LayerService,
  options: { readonly sessions?: SessionGroup; readonly signal?: AbortSignal } = {},
): RunContext & { readonly lines: ProgressStatus[] } {
  const lines: ProgressStatus[] = [];
  return {
    lines,
    layers,
    signal: options.signal ?? new AbortController().signal,
    sessions: options.sessions ?? noSessions,
    progress: { status: (line) => void lines.push(line), log: () => {}, warn: () => {} },
    logger: silentLogger,
  };
}
