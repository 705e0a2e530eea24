import { type FileAction, Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { findCause, StepFailedError } from "../../core/errors/step-failed-error.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { ActiveSnapshot, MountedView } from "../../core/seams/snapshotter.ts";
import type { FailedState } from "../../core/values/failed-state.ts";
import { type LayerInfo, type Ref, scratchRef } from "../../core/values/layer.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import type { ActionJob, CopyOneJob, CopySource, UnpackPlace } from "../../filesystem/file-worker.ts";
import { bytePath, WorkerPool } from "../../filesystem/index.ts";
import { Semaphore } from "../../util/semaphore.ts";
import { withFailedState } from "./failed-state.ts";
import type { UnpackJob } from "./unpack-worker.ts";

export interface FileOpRunnerOptions {
  /** Threads that do the file system work; default 2, and as many for archives. */
  readonly threads?: number;
  /** Entry files of the threads, where they are not beside the sources. */
  readonly workerEntry?: URL;
  readonly unpackWorkerEntry?: URL;
}

/**
 * Runs a FileOp: actions in dependency order, one new layer per action that is an output or is needed by two others; an
 * action used once goes on in its input's snapshot (BuildKit solver/llbsolver/ops/file.go). The files are written by
 * worker threads.
 */
export class FileOpRunner implements OpRunner<"file">, AsyncDisposable {
  readonly kind = "file";
  readonly #tools: Tools;
  readonly #turns: Semaphore;

  constructor(options: FileOpRunnerOptions = {}) {
    const size = options.threads ?? 2;
    this.#turns = new Semaphore(size * opsPerThread);
    const entry = options.workerEntry ?? new URL("../../filesystem/file-worker.ts", import.meta.url);
    const unpackEntry = options.unpackWorkerEntry ?? new URL("./unpack-worker.ts", import.meta.url);
    this.#tools = { pool: new WorkerPool({ entry, size }), unpackPool: new WorkerPool({ entry: unpackEntry, size }) };
  }

  async run(task: Task<"file">, context: RunContext): Promise<TaskResult<"file">> {
    const { op } = Op.decode(task.body.op);
    if (op?.$case !== "file") throw new BuildError(Code.InvalidArgument, "invalid nil file op");
    await this.#turns.acquire(context.signal);
    try {
      await using run = new FileOpRun(op.value.actions, task, context, this.#tools);
      return await run.solve();
    } catch (error) {
      throw BuildError.from(error);
    } finally {
      this.#turns.release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#tools.pool[Symbol.asyncDispose](), this.#tools.unpackPool[Symbol.asyncDispose]()]);
  }
}

/**
 * Ops that have mounts, for each thread that does their work. With thousands of them, as a wide graph has, every mount would
 * take longer than the one before.
 */
const opsPerThread = 8;

/** What an index of the op stands for: a finished ref, or a snapshot still being written. */
type State =
  | { readonly kind: "ref"; readonly ref: Ref }
  | { readonly kind: "active"; readonly snapshot: ActiveSnapshot; readonly base: Ref };

interface Tools {
  readonly pool: WorkerPool;
  readonly unpackPool: WorkerPool;
}

class FileOpRun implements AsyncDisposable {
  readonly #actions: readonly FileAction[];
  readonly #task: Task<"file">;
  readonly #inputs: readonly Ref[];
  readonly #context: RunContext;
  readonly #tools: Tools;
  readonly #states = new Map<number, Promise<State>>();
  /** Indexes that must become a layer of their own. */
  readonly #committed = new Set<number>();
  readonly #layers: LayerInfo[] = [];
  readonly #open = new Set<ActiveSnapshot>();

  constructor(actions: readonly FileAction[], task: Task<"file">, context: RunContext, tools: Tools) {
    this.#actions = actions;
    this.#task = task;
    this.#inputs = task.body.inputs;
    this.#context = context;
    this.#tools = tools;
  }

  async solve(): Promise<TaskResult<"file">> {
    const outputs = this.#checkIndexes();
    const refs: Ref[] = [];
    for (const index of outputs) {
      this.#checkLoop(index);
      const state = await this.#output(index);
      refs.push(state.kind === "ref" ? state.ref : scratchRef);
    }
    return { outputs: refs, layers: this.#layers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#states.values());
    for (const snapshot of this.#open) await snapshot[Symbol.asyncDispose]();
  }

  /** @returns op index of each output */
  #checkIndexes(): readonly number[] {
    const known = this.#inputs.length + this.#actions.length;
    const outputs = new Map<number, number>();
    const used = new Set<number>();
    for (const [i, action] of this.#actions.entries()) {
      if (action.input < -1 || action.input >= known) {
        throw new Error(`invalid input index ${action.input}, ${known} provided`);
      }
      if (action.secondaryInput < -1 || action.secondaryInput >= known) {
        throw new Error(`invalid secondary input index ${action.input}, ${this.#inputs.length} provided`);
      }
      for (const index of [action.input, action.secondaryInput]) {
        if (used.has(index)) this.#committed.add(index);
        used.add(index);
      }
      if (action.output !== -1) {
        if (outputs.has(action.output)) throw new Error(`duplicate output ${action.output}`);
        outputs.set(action.output, this.#inputs.length + i);
        this.#committed.add(this.#inputs.length + i);
        used.add(this.#inputs.length + i);
      }
    }
    if (outputs.size === 0) throw new Error("no outputs specified");
    return Array.from({ length: outputs.size }, (_, i) => {
      const index = outputs.get(i);
      if (index === undefined) throw new Error(`missing output index ${i}`);
      return index;
    });
  }

  #checkLoop(index: number, path = new Set<number>(), checked = new Set<number>()): void {
    if (path.has(index)) throw new Error(`loop from index ${index}`);
    // Not by every way that leads here: of those there may be 2^n.
    if (index < this.#inputs.length || checked.has(index)) return;
    const action = this.#actions[index - this.#inputs.length] as FileAction;
    path.add(index);
    for (const input of [action.input, action.secondaryInput]) this.#checkLoop(input, path, checked);
    path.delete(index);
    checked.add(index);
  }

  /** The failing action may be another than the one which gives the output; it is this one that BuildKit names. */
  async #output(index: number): Promise<State> {
    try {
      return await this.#state(index);
    } catch (error) {
      const { results, layers } = findCause(error, StepFailedError)?.state ?? { results: [], layers: [] };
      const action = index - this.#inputs.length;
      throw await withFailedState(error, this.#task, this.#context, async () => ({ results, layers, action }));
    }
  }

  #state(index: number): Promise<State> {
    let state = this.#states.get(index);
    if (state === undefined) {
      state = this.#compute(index);
      this.#states.set(index, state);
    }
    return state;
  }

  async #compute(index: number): Promise<State> {
    const input = this.#inputs[index];
    if (input !== undefined) return { kind: "ref", ref: input };
    const action = this.#actions[index - this.#inputs.length];
    if (action === undefined) throw new Error(`invalid input index ${index}, ${this.#inputs.length} provided`);
    this.#context.signal.throwIfAborted();

    await using views = new AsyncDisposableStack();
    const { snapshot, base } = await this.#writable(action.input);
    try {
      await this.#act(action, snapshot, views);
    } catch (error) {
      // It was another action that failed.
      if (error instanceof StepFailedError) throw error;
      throw await withFailedState(error, this.#task, this.#context, () => this.#commitFailed(index, snapshot, base));
    }
    if (!this.#committed.has(index)) return { kind: "active", snapshot, base };
    return { kind: "ref", ref: await this.#commit(snapshot, base, this.#layers) };
  }

  async #act(action: FileAction, snapshot: ActiveSnapshot, views: AsyncDisposableStack): Promise<void> {
    const source = action.action?.$case === "copy" ? await this.#readable(action.secondaryInput, views) : undefined;
    const owner = action.action !== undefined && "owner" in action.action.value ? action.action.value.owner : undefined;
    const user = await this.#named(owner?.user, views);
    const group = await this.#named(owner?.group, views);
    const job: ActionJob = {
      action,
      roots: {
        target: bytePath(snapshot.path),
        ...(user === undefined ? {} : { user }),
        ...(group === undefined ? {} : { group }),
      },
      ...(source === undefined ? {} : { source: bytePath(source) }),
    };
    await this.#runAction(job);
  }

  async #runAction(job: ActionJob): Promise<void> {
    const { signal } = this.#context;
    const { action } = job.action;
    if (action?.$case !== "copy" || !action.value.attemptUnpackDockerCompatibility) {
      await this.#tools.pool.run("run", job, { signal });
      return;
    }
    for (const { path, candidate } of await this.#tools.pool.run<readonly CopySource[]>("sources", job, { signal })) {
      if (candidate !== undefined && (await this.#tools.unpackPool.run<boolean>("isArchive", candidate, { signal }))) {
        const place = await this.#tools.pool.run<UnpackPlace>("unpackTarget", job, { signal });
        const unpack: UnpackJob = { file: candidate, directory: place.path, owner: place.owner };
        await this.#tools.unpackPool.run<void>("unpack", unpack, { signal });
      } else {
        await this.#tools.pool.run<void>("copyOne", { ...job, path } satisfies CopyOneJob, { signal });
      }
    }
  }

  /** The snapshot that an action changes: its input's own when nobody else wants that, else a new one on top of it. */
  async #writable(index: number): Promise<{ readonly snapshot: ActiveSnapshot; readonly base: Ref }> {
    const state: State = index === -1 ? { kind: "ref", ref: scratchRef } : await this.#state(index);
    if (state.kind === "active") return state;
    const snapshot = await this.#context.layers.prepare(state.ref, this.#context.signal);
    this.#open.add(snapshot);
    return { snapshot, base: state.ref };
  }

  async #readable(index: number, views: AsyncDisposableStack): Promise<string> {
    const state: State = index === -1 ? { kind: "ref", ref: scratchRef } : await this.#state(index);
    if (state.kind === "active") return state.snapshot.path;
    const view: MountedView = views.use(await this.#context.layers.view(state.ref, this.#context.signal));
    return view.path;
  }

  async #named(
    user: { readonly user?: { readonly $case: string; readonly value: unknown } | undefined } | undefined,
    views: AsyncDisposableStack,
  ): Promise<string | undefined> {
    if (user?.user?.$case !== "byName") return undefined;
    const { input } = user.user.value as { readonly input: number };
    if (input < 0) throw new Error(`invalid user index: ${input}`);
    return bytePath(await this.#readable(input, views));
  }

  /** What the failed action has written, and what it was to copy from when that is no layer yet. */
  async #commitFailed(index: number, snapshot: ActiveSnapshot, base: Ref): Promise<FailedState> {
    const inputs = this.#inputs.length;
    const results = this.#actions.map((): Ref | null => null);
    const layers: LayerInfo[] = [];
    results[index - inputs] = await this.#commit(snapshot, base, layers);
    const source = this.#actions[index - inputs]?.secondaryInput ?? -1;
    const state = source < inputs ? undefined : await this.#state(source).catch(() => undefined);
    if (state?.kind === "active") results[source - inputs] = await this.#commit(state.snapshot, state.base, layers);
    return { results, layers };
  }

  async #commit(snapshot: ActiveSnapshot, base: Ref, made: LayerInfo[]): Promise<Ref> {
    const { layers } = this.#context;
    const id = layers.newId();
    const { sizeBytes } = await snapshot.commit(id);
    this.#open.delete(snapshot);
    made.push(layers.born(id, sizeBytes, this.#task.body.description || "fileop target"));
    return { layers: [...base.layers, id] };
  }
}
