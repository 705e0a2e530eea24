import { subjects } from "../bus/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { findCause, StepFailedError } from "../core/errors/step-failed-error.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { OpRunner, OpRunners } from "../core/seams/op-runner.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { TaskCancel, TaskOfferReply, TaskOutcome } from "../core/values/agent.ts";
import type { FailedState } from "../core/values/failed-state.ts";
import type { LayerId } from "../core/values/layer.ts";
import { add, fits, noResources, type Resources } from "../core/values/resources.ts";
import type { Task, TaskKind } from "../core/values/task.ts";
import { decode, encode } from "../util/msgpack.ts";
import { Semaphore } from "../util/semaphore.ts";
import { heartbeatIntervalMs } from "./heartbeat.ts";
import type { TasksInHand } from "./inventory/agent-inventory.ts";
import type { GarbageCollector } from "./inventory/garbage-collector.ts";
import type { LayerManager } from "./layers/layer-manager.ts";
import { TaskLayerService } from "./layers/task-layer-service.ts";
import { isDiskFull, isOutOfSpace, reportedFailure } from "./out-of-space.ts";
import { TaskReporter } from "./task-reporter.ts";
import type { TaskTracer } from "./task-tracer.ts";

export interface TaskServerOptions {
  readonly agentId: string;
  /** Data directory of the agent; for messages. */
  readonly root: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly layers: LayerManager;
  readonly runners: OpRunners;
  /** What its tasks may take together. */
  readonly capacity: Resources;
  /** A task has ended after one was refused for want of room. */
  readonly onRoom: () => void;
  /** Tasks of limited kinds at the same time; absent = no limit. More are taken, and wait here. */
  readonly maxParallelism?: number;
  readonly sessions: (task: Task) => SessionGroup;
  readonly tracer: TaskTracer;
  /** Absent when the agent does not clean up by itself. */
  readonly collector?: Pick<GarbageCollector, "makeRoom" | "outOfSpace" | "taskEnded">;
}

/**
 * A coordinator silent for this long is gone: 10 s lease and 10 s grace (BuildBuddy's constants). Counted in heartbeats of
 * this agent, not by a clock that may jump.
 */
const coordinatorSilenceMs = 20_000;
const maxSilentBeats = coordinatorSilenceMs / heartbeatIntervalMs;
/** How often an outcome is offered to a coordinator that does not answer, or that seems to listen no more. */
const outcomeAttempts = 20;
/** The same when the task was aborted: whoever did it is not waiting, and no shutdown waits for long. */
const abortedOutcomeAttempts = 3;

/** Kinds that count for `maxParallelism` (BuildKit solver/llbsolver/ops: Acquire of source, exec and file ops). */
const limitedKinds: ReadonlySet<TaskKind> = new Set(["exec", "file", "source.fetch"]);

interface RunningTask {
  readonly task: Task;
  readonly abort: AbortController;
  readonly done: Promise<void>;
  /** Absent until its sessions are open. */
  layers?: TaskLayerService;
}

/**
 * Takes tasks from the bus and runs them. The agent's own books decide what it accepts, so several coordinators can share it.
 * A task ends when it is done, cancelled, or its coordinator has fallen silent; then all it held is released.
 */
export class TaskServer implements AsyncDisposable {
  readonly #options: TaskServerOptions;
  readonly #running = new Map<string, RunningTask>();
  /** Beats since a coordinator with tasks here was heard. */
  readonly #silentBeats = new Map<string, number>();
  readonly #subscriptions: Disposable[];
  readonly #turns: Semaphore | undefined;
  #draining = false;
  /** Somebody thought there was room: coordinators wait until they hear of some. */
  #hasRefused = false;

  constructor(options: TaskServerOptions) {
    this.#options = options;
    const { maxParallelism } = options;
    this.#turns = maxParallelism === undefined ? undefined : new Semaphore(maxParallelism);
    const { bus, agentId } = options;
    this.#subscriptions = [
      bus.subscribe(subjects.agentTasks(agentId), (message) => {
        message.respond(encode(this.#offer(decode<Task>(message.data))));
      }),
      bus.subscribe(subjects.agentCancel(agentId), (message) => {
        const { taskId, leaseId } = decode<TaskCancel>(message.data);
        const running = this.#running.get(taskId);
        if (leaseId === undefined) running?.abort.abort(coordinatorGone(running.task.coordinator.id));
        else if (running?.task.leaseId === leaseId) {
          running.abort.abort(new BuildError(Code.Canceled, "context canceled"));
        }
      }),
      bus.subscribe(subjects.allCoordinatorHeartbeats, (message) => {
        this.#silentBeats.delete(decode<{ id: string }>(message.data).id);
      }),
    ];
  }

  /** Ids of tasks running now. */
  get running(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** By coordinator. */
  get occupied(): Readonly<Record<string, Resources>> {
    const occupied: Record<string, Resources> = {};
    for (const { task } of this.#running.values()) {
      occupied[task.coordinator.id] = add(occupied[task.coordinator.id] ?? noResources, task.demand);
    }
    return occupied;
  }

  /** What must not be removed while the tasks run; a task's result counts until its coordinator has it. */
  get inHand(): TasksInHand {
    const layers = new Set<LayerId>();
    let fetchSources = false;
    for (const { task, layers: service } of this.#running.values()) {
      for (const { id } of task.layers) layers.add(id);
      for (const id of [...(service?.made ?? []), ...(service?.fetched ?? [])]) layers.add(id);
      fetchSources ||= task.kind.startsWith("source.");
    }
    return { count: this.#running.size, layers, fetchSources };
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes nothing more; resolves when all that runs has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all([...this.#running.values()].map((running) => running.done));
  }

  /** Ends tasks whose coordinator has fallen silent. Called with each heartbeat. */
  checkCoordinators(): void {
    const byCoordinator = Map.groupBy(this.#running.values(), ({ task }) => task.coordinator.id);
    for (const id of this.#silentBeats.keys()) if (!byCoordinator.has(id)) this.#silentBeats.delete(id);
    for (const [id, tasks] of byCoordinator) {
      const silent = (this.#silentBeats.get(id) ?? 0) + 1;
      this.#silentBeats.set(id, silent);
      if (silent <= maxSilentBeats) continue;
      for (const { abort } of tasks) abort.abort(coordinatorGone(id));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const { abort } of this.#running.values()) {
      abort.abort(new BuildError(Code.Unavailable, "agent is shutting down", { infrastructure: true }));
    }
    await this.drain();
  }

  #offer(task: Task): TaskOfferReply {
    const runner = this.#options.runners[task.kind] as OpRunner<TaskKind> | undefined;
    if (runner === undefined) return { accepted: false, reason: `this agent cannot run ${task.kind}` };
    if (this.#draining) return { accepted: false, reason: "draining" };
    const used = Object.values(this.occupied).reduce(add, noResources);
    if (!fits(this.#options.capacity, used, task.demand)) {
      this.#hasRefused = true;
      return { accepted: false, reason: "busy" };
    }
    // Repeated offers of one lease (a lost answer) must not run it twice.
    const running = this.#running.get(task.id);
    if (running !== undefined) {
      if (running.task.leaseId === task.leaseId) return { accepted: true };
      return { accepted: false, reason: "an earlier lease of this task still runs here" };
    }
    this.#silentBeats.delete(task.coordinator.id);
    const abort = new AbortController();
    const done = this.#run(task, runner, abort.signal)
      .catch((error) => this.#options.logger.error("outcome cannot be told", { task: task.id, error: String(error) }))
      .finally(() => {
        this.#running.delete(task.id);
        this.#options.collector?.taskEnded();
        if (!this.#hasRefused) return;
        this.#hasRefused = false;
        this.#options.onRoom();
      });
    this.#running.set(task.id, { task, abort, done });
    return { accepted: true };
  }

  async #run(task: Task, runner: OpRunner<TaskKind>, signal: AbortSignal): Promise<void> {
    // Not in the stack of the offer: the answer goes out first.
    await Promise.resolve();
    const reporter = new TaskReporter(this.#options.bus, task, this.#options.clock);
    const fetched: LayerId[] = [];
    let outcome: OutcomeBody;
    try {
      signal.throwIfAborted();
      outcome = {
        type: "result",
        result: await reporter.withoutLargeData(await this.#work(task, runner, reporter, fetched, signal)),
      };
    } catch (error) {
      const failed = BuildError.from(signal.aborted ? (signal.reason ?? error) : error);
      // What is tried again, here or elsewhere, finds room then.
      if (isOutOfSpace(failed, task.kind)) await this.#options.collector?.outOfSpace(signal);
      const failure = reportedFailure(failed, task.kind, this.#options.agentId, this.#options.root);
      const state = failure.infrastructure ? undefined : findCause(failure, StepFailedError)?.state;
      outcome = { type: "error", error: failure.toWire(), ...(state === undefined ? {} : { state }) };
    }
    const { seq } = reporter.end();
    await this.#deliver(task, { ...outcome, leaseId: task.leaseId, seq, fetched }, signal);
  }

  /** @param fetched takes the layers that were brought here, also by a task that fails */
  async #work(
    task: Task,
    runner: OpRunner<TaskKind>,
    reporter: TaskReporter,
    fetched: LayerId[],
    signal: AbortSignal,
  ): Promise<unknown> {
    const sessions = this.#options.sessions(task);
    const layers = new TaskLayerService(
      this.#options.layers,
      {
        infos: new Map(task.layers.map((info) => [info.id, info])),
        peers: task.peers,
        sessions,
        progress: reporter,
      },
      this.#options.agentId,
    );
    const running = this.#running.get(task.id);
    if (running !== undefined) running.layers = layers;
    const logger = this.#options.logger.child({ task: task.id, kind: task.kind });
    return this.#options.tracer.run(task, async () => {
      try {
        using _turn = await this.#turn(task.kind, signal);
        const { collector, root } = this.#options;
        await collector?.makeRoom(signal);
        const diskIsFull = () => isDiskFull(root);
        return await runner.run(task, { signal, sessions, progress: reporter, logger, layers, diskIsFull });
      } catch (error) {
        const { message, code } = BuildError.from(signal.aborted ? (signal.reason ?? error) : error);
        logger.debug("task failed", { error: message, code });
        throw error;
      } finally {
        fetched.push(...layers.fetched);
      }
    });
  }

  /** Waits until one more task of its kind may run. */
  async #turn(kind: TaskKind, signal: AbortSignal): Promise<Disposable> {
    const turns = limitedKinds.has(kind) ? this.#turns : undefined;
    await turns?.acquire(signal);
    return { [Symbol.dispose]: () => turns?.release() };
  }

  async #deliver(task: Task, outcome: TaskOutcome, signal: AbortSignal): Promise<void> {
    const data = encode(outcome);
    for (let attempt = 1; attempt <= (signal.aborted ? abortedOutcomeAttempts : outcomeAttempts); attempt++) {
      try {
        await this.#options.bus.request(subjects.taskOutcome(task.id), data, { timeoutMs: 2000 });
        return;
      } catch {
        await this.#options.clock.sleep(Math.min(100 * 2 ** (attempt - 1), 1000));
      }
    }
  }
}

type OutcomeBody =
  | { readonly type: "result"; readonly result: unknown }
  | { readonly type: "error"; readonly error: ReturnType<BuildError["toWire"]>; readonly state?: FailedState };

/** To be tried again by a coordinator that is there after all. */
function coordinatorGone(id: string): BuildError {
  return new BuildError(Code.Unavailable, `coordinator ${id} is gone`, { infrastructure: true });
}
