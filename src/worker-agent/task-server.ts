import { subjects } from "../bus/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { findCause, StepFailedError } from "../core/errors/step-failed-error.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { OpRunner, OpRunners } from "../core/seams/op-runner.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { TaskCancel, TaskOfferReply } from "../core/values/agent.ts";
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
import { TaskRun } from "./task-run.ts";
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
const maxSilentBeats = 20_000 / heartbeatIntervalMs;
/** So long a step goes on without a coordinator, and its result is kept for the next one (ADR-0021). */
const maxOrphanedBeats = 900_000 / heartbeatIntervalMs;

/** Kinds that count for `maxParallelism` (BuildKit solver/llbsolver/ops: Acquire of source, exec and file ops). */
const limitedKinds: ReadonlySet<TaskKind> = new Set(["exec", "file", "source.fetch"]);

/**
 * Takes tasks from the bus and runs them. The agent's own books decide what it accepts, so several coordinators can share it.
 * A task ends when it is done, cancelled, or its coordinator has fallen silent; then all it held is released. A step that
 * others may share goes on for a while then, and what it made is kept until somebody asks for it.
 */
export class TaskServer implements AsyncDisposable {
  readonly #options: TaskServerOptions;
  /** In hand, or kept. */
  readonly #runs = new Set<TaskRun>();
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
        this.#cancel(decode<TaskCancel>(message.data));
      }),
      bus.subscribe(subjects.allCoordinatorHeartbeats, (message) => {
        this.#silentBeats.delete(decode<{ id: string }>(message.data).id);
      }),
    ];
  }

  /** Ids of tasks running now. */
  get running(): readonly string[] {
    return this.#tasks.map(({ id }) => id);
  }

  /** Keys of steps whose result can be shared. */
  get steps(): readonly string[] {
    return [...this.#runs].flatMap(({ isShared, task }) => (isShared ? (task.step ?? []) : []));
  }

  /** By coordinator; by none what is done only for others than the one it was begun for. */
  get occupied(): Readonly<Record<string, Resources>> {
    const occupied: Record<string, Resources> = {};
    for (const run of this.#inHand) {
      const id = run.find(run.task.id)?.coordinator.id ?? "";
      occupied[id] = add(occupied[id] ?? noResources, run.task.demand);
    }
    return occupied;
  }

  /** What must not be removed while the tasks run; a task's result counts until its coordinator has it. */
  get inHand(): TasksInHand {
    const layers = new Set<LayerId>();
    let fetchSources = false;
    const runs = this.#inHand;
    for (const { task, layers: service } of runs) {
      for (const { id } of task.layers) layers.add(id);
      for (const id of [...(service?.made ?? []), ...(service?.fetched ?? [])]) layers.add(id);
      fetchSources ||= task.kind.startsWith("source.");
    }
    return { count: runs.length, layers, fetchSources };
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes nothing more; resolves when all that runs for somebody has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const run of this.#runs) if (run.orphanedBeats > 0) this.#giveUp(run);
    await Promise.all([...this.#runs].map(({ done }) => done));
  }

  /** Ends tasks whose coordinator has fallen silent. Called with each heartbeat. */
  checkCoordinators(): void {
    const ids = new Set(this.#tasks.map(({ coordinator }) => coordinator.id));
    for (const id of this.#silentBeats.keys()) if (!ids.has(id)) this.#silentBeats.delete(id);
    for (const id of ids) this.#silentBeats.set(id, (this.#silentBeats.get(id) ?? 0) + 1);
    for (const run of this.#runs) {
      const heard = run.tasks.some(({ coordinator: { id } }) => (this.#silentBeats.get(id) ?? 0) <= maxSilentBeats);
      if (heard) run.orphanedBeats = 0;
      else this.#orphaned(run);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const { abort } of this.#runs) {
      abort.abort(new BuildError(Code.Unavailable, "agent is shutting down", { infrastructure: true }));
    }
    await this.drain();
  }

  /** Runs that somebody waits for. */
  get #inHand(): readonly TaskRun[] {
    return [...this.#runs].filter(({ tasks }) => tasks.length > 0);
  }

  get #tasks(): readonly Task[] {
    return [...this.#runs].flatMap(({ tasks }) => tasks);
  }

  #orphaned(run: TaskRun): void {
    const { id, step, coordinator } = run.task;
    if (run.orphanedBeats++ === 0 && step !== undefined) {
      this.#options.logger.info("a step goes on without its coordinator", { task: id, coordinator: coordinator.id });
    }
    const goesOn = step !== undefined && run.orphanedBeats <= maxOrphanedBeats && !this.#draining;
    if (!goesOn) this.#giveUp(run);
  }

  #giveUp(run: TaskRun): void {
    if (run.isKept) this.#runs.delete(run);
    else run.abort.abort(coordinatorGone(run.task.coordinator.id));
  }

  #cancel({ taskId, leaseId }: TaskCancel): void {
    const run = [...this.#runs].find((one) => one.find(taskId) !== undefined);
    if (run === undefined) return;
    if (leaseId === undefined) run.abort.abort(coordinatorGone(run.task.coordinator.id));
    else if (run.find(taskId)?.leaseId === leaseId && !run.leave(taskId)) {
      run.abort.abort(new BuildError(Code.Canceled, "context canceled"));
    }
  }

  #offer(task: Task): TaskOfferReply {
    const runner = this.#options.runners[task.kind] as OpRunner<TaskKind> | undefined;
    if (runner === undefined) return { accepted: false, reason: `this agent cannot run ${task.kind}` };
    // Repeated offers of one lease (a lost answer) must not run it twice.
    const known = this.#tasks.find(({ id }) => id === task.id);
    if (known !== undefined) {
      if (known.leaseId === task.leaseId) return { accepted: true };
      return { accepted: false, reason: "an earlier lease of this task still runs here" };
    }
    if (this.#join(task)) return { accepted: true };
    if (task.joins === true) return { accepted: false, reason: "the step is not in hand here any more" };
    if (this.#draining) return { accepted: false, reason: "draining" };
    const used = Object.values(this.occupied).reduce(add, noResources);
    if (!fits(this.#options.capacity, used, task.demand)) {
      this.#hasRefused = true;
      return { accepted: false, reason: "busy" };
    }
    this.#silentBeats.delete(task.coordinator.id);
    const run = new TaskRun(task, this.#options.bus, this.#options.clock);
    this.#runs.add(run);
    this.#follow(run, this.#run(run, runner));
    return { accepted: true };
  }

  /** The step runs here already, or has run and nobody was told. */
  #join(task: Task): boolean {
    const run = [...this.#runs].find((one) => one.isShared && one.task.step === task.step);
    if (run === undefined) return false;
    const wasKept = run.tasks.length === 0;
    // What nobody waits for may be removed.
    if (wasKept && !run.made.every((id) => this.#options.layers.snapshotter.has(id))) {
      this.#runs.delete(run);
      return false;
    }
    this.#silentBeats.delete(task.coordinator.id);
    run.join(task);
    if (wasKept) this.#follow(run, Promise.resolve());
    return true;
  }

  /** @param ended resolves when the run has an outcome */
  #follow(run: TaskRun, ended: Promise<void>): void {
    run.done = ended
      .then(() => run.told())
      .catch((error) =>
        this.#options.logger.error("outcome cannot be told", { task: run.task.id, error: String(error) }),
      )
      .finally(() => {
        if (!run.isKept) this.#runs.delete(run);
        this.#options.collector?.taskEnded();
        if (!this.#hasRefused) return;
        this.#hasRefused = false;
        this.#options.onRoom();
      });
  }

  async #run(run: TaskRun, runner: OpRunner<TaskKind>): Promise<void> {
    // Not in the stack of the offer: the answer goes out first.
    await Promise.resolve();
    const { kind } = run.task;
    const { signal } = run.abort;
    const fetched: LayerId[] = [];
    try {
      signal.throwIfAborted();
      const result = await run.withoutLargeData(await this.#work(run, runner, fetched));
      run.conclude({ type: "result", result, fetched });
    } catch (error) {
      const failed = BuildError.from(signal.aborted ? (signal.reason ?? error) : error);
      // What is tried again, here or elsewhere, finds room then.
      if (isOutOfSpace(failed, kind)) await this.#options.collector?.outOfSpace(signal);
      const failure = reportedFailure(failed, kind, this.#options.agentId, this.#options.root);
      const state = failure.infrastructure ? undefined : findCause(failure, StepFailedError)?.state;
      run.conclude({ type: "error", error: failure.toWire(), fetched, ...(state === undefined ? {} : { state }) });
    }
  }

  /** @param fetched takes the layers that were brought here, also by a task that fails */
  async #work(run: TaskRun, runner: OpRunner<TaskKind>, fetched: LayerId[]): Promise<unknown> {
    const { task } = run;
    const { signal } = run.abort;
    const sessions = this.#options.sessions(task);
    const layers = new TaskLayerService(
      this.#options.layers,
      { infos: new Map(task.layers.map((info) => [info.id, info])), peers: task.peers, sessions, progress: run },
      this.#options.agentId,
    );
    run.layers = layers;
    const logger = this.#options.logger.child({ task: task.id, kind: task.kind });
    return this.#options.tracer.run(task, async () => {
      try {
        using _turn = await this.#turn(task.kind, signal);
        const { collector, root } = this.#options;
        await collector?.makeRoom(signal);
        const diskIsFull = () => isDiskFull(root);
        return await runner.run(task, { signal, sessions, progress: run, logger, layers, diskIsFull });
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
}

/** To be tried again by a coordinator that is there after all. */
function coordinatorGone(id: string): BuildError {
  return new BuildError(Code.Unavailable, `coordinator ${id} is gone`, { infrastructure: true });
}
