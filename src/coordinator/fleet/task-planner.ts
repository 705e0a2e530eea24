import { StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { BuildShare } from "../../core/values/build-share.ts";
import type { CacheMountInfo, CacheMountUse } from "../../core/values/cache-mount.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { noResources } from "../../core/values/resources.ts";
import type { TaskKind, TaskResult } from "../../core/values/task.ts";
import type { StepHistory } from "../scheduling/step-history.ts";
import type { WaitingTask, WarmData } from "../scheduling/waiting-task.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FleetCacheMounts } from "./fleet-cache-mounts.ts";
import { poolFilter, requirementName } from "./requirement.ts";

export interface TaskPlannerOptions {
  readonly registry: AgentRegistry;
  readonly history: StepHistory;
  readonly cacheMounts: FleetCacheMounts;
  /** What the most favoured of the builds gets of the fleet. */
  readonly shareOf: (builds: readonly string[]) => BuildShare;
  readonly logger: Logger;
}

/** What a task needs on its agent. */
export interface TaskInputs {
  readonly layers: readonly LayerId[];
  readonly mounts: readonly CacheMountUse[];
  /** Agents where it failed. */
  readonly avoid: ReadonlySet<string>;
}

/** What the agent that served an affinity key last is taken to have of it. */
const affinityBytes = 500e6;
/** What a cache mount of unknown size is taken for. */
const unknownMountBytes = 128e6;
/** Tasks that run programs of a build; others go to where the bytes are. */
const runsPrograms: ReadonlySet<TaskKind> = new Set(["exec", "container"]);
/** A task that is no step. */
const brief = { expectedSeconds: 0.5, demand: noResources };
/** Affinity keys remembered; the longest unused goes first. */
const maxAffinities = 10_000;

/** Makes of a task what the scheduler is told of it, and learns from how it went. */
export class TaskPlanner {
  readonly #options: TaskPlannerOptions;
  /** Affinity key → agent that served it last. */
  readonly #affinity = new Map<string, string>();

  constructor(options: TaskPlannerOptions) {
    this.#options = options;
  }

  waitingTask(id: string, kind: TaskKind, inputs: TaskInputs, context: DispatchContext): WaitingTask {
    const { platform, constraints = [], devices, builds = [], work } = context;
    const { layers, mounts, avoid } = inputs;
    const { shareOf, history, cacheMounts } = this.#options;
    const share = shareOf(builds);
    const filters =
      share.pool !== undefined && runsPrograms.has(kind) ? [...constraints, poolFilter(share.pool)] : constraints;
    return {
      id,
      share,
      requirement: requirementName(platform, filters, devices),
      rank: work?.rank ?? 0,
      ...(kind === "exec" ? history.estimate(work?.historyKey) : brief),
      layers,
      warm: () => [...this.#served(context), ...cacheMounts.infos(mounts).flatMap(warmMount)],
      avoid,
    };
  }

  /** The agent has taken a task. */
  served({ affinity: key }: DispatchContext, agentId: string): void {
    if (key === undefined) return;
    this.#affinity.delete(key);
    this.#affinity.set(key, agentId);
    const [oldest] = this.#affinity.keys();
    if (this.#affinity.size > maxAffinities && oldest !== undefined) this.#affinity.delete(oldest);
  }

  /** The step was killed for want of memory, and some agent has more. What it needs is remembered. */
  async wantsMoreMemory(error: unknown, { work, progress }: DispatchContext): Promise<boolean> {
    const failure = error instanceof StepFailedError ? error.state.outOfMemory : undefined;
    if (failure === undefined || work?.historyKey === undefined) return false;
    const { history, registry } = this.#options;
    const { peakMemoryBytes } = failure;
    await history.record(work.historyKey, { seconds: 0, cpuSeconds: 0, peakMemoryBytes, outOfMemory: true });
    const { memoryBytes } = history.estimate(work.historyKey).demand;
    if (!registry.agents.some(({ draining, capacity }) => !draining && capacity.memoryBytes >= memoryBytes))
      return false;
    const used = Math.round(peakMemoryBytes / 1e6);
    const note = `[fleet] killed for want of memory with ${used} MB in use; trying once more where there is more\n`;
    progress.log(2, new TextEncoder().encode(note));
    return true;
  }

  /** What the step took is what the next one like it is expected to take. */
  learn({ work }: DispatchContext, result: unknown): void {
    const { usage } = result as Partial<TaskResult<"exec">>;
    if (work?.historyKey === undefined || usage === undefined) return;
    const { wallMs, cpuNanos, peakMemoryBytes } = usage;
    const outcome = { seconds: wallMs / 1000, cpuSeconds: cpuNanos / 1e9, peakMemoryBytes };
    this.#options.history.record(work.historyKey, outcome).catch((error) => {
      this.#options.logger.debug("what a step took is not remembered", { error: String(error) });
    });
  }

  #served({ affinity }: DispatchContext): readonly WarmData[] {
    const agent = affinity === undefined ? undefined : this.#affinity.get(affinity);
    return agent === undefined ? [] : [{ bytes: affinityBytes, holders: new Set([agent]) }];
  }
}

/** Who has the newest version of a mount. What nobody has is as far from everybody. */
function warmMount({ holders }: CacheMountInfo): readonly WarmData[] {
  const [newest] = holders;
  if (newest === undefined) return [];
  const current = holders.filter(({ version }) => version === newest.version);
  return [{ bytes: newest.sizeBytes || unknownMountBytes, holders: new Set(current.map(({ agentId }) => agentId)) }];
}
