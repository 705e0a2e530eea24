import { randomUUID } from "node:crypto";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { Edge, Op, OpResolver, Vertex } from "../core/seams/op.ts";
import type { ProgressWarning, ProgressWriter } from "../core/seams/progress.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import { currentCompatibilityVersion } from "../core/values/compatibility-version.ts";
import { type Digest, sha256 } from "../core/values/digest.ts";
import { withSignal } from "../util/abort.ts";
import { inputsFirst } from "../util/inputs-first.ts";
import type { CacheManager } from "./cache-manager.ts";
import type { CachedResult } from "./cached-result.ts";
import { type BuildOptions, buildFailure, type Job } from "./job.ts";
import { JobProgress } from "./job-progress.ts";
import { Loss } from "./loss.ts";
import type { ProgressEvent } from "./progress-event.ts";
import { RunIndex } from "./run-index.ts";
import type { JobMember, SolveContext } from "./solve-context.ts";
import type { JobVertexOutcome, VertexOutcome } from "./vertex-outcome.ts";
import { VertexProgressWriter } from "./vertex-progress.ts";
import { VertexState } from "./vertex-state.ts";

export interface SolverOptions<T> {
  readonly resolver: OpResolver<T>;
  /** The local store. Imported caches come with each build. */
  readonly cache: CacheManager<T>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with the sessions of all jobs that want a vertex, each time its op asks for them. */
  readonly sessionGroup: (ids: readonly string[]) => SessionGroup;
  /** Vertices whose scheduling goes into the log in detail; default: none. */
  readonly debugs?: (vertex: Vertex) => boolean;
  /** What becomes of a vertex that another build wants too, with other metadata; default: it stays as it is. */
  readonly mergeVertices?: (known: Vertex, other: Vertex) => Vertex;
  /** An error that says that something is lost means this result; default: it means all that the failed work has read. */
  readonly isLost?: (error: Error, result: T) => boolean;
  /** Called once for each result, loaded or made, when no vertex holds it any more. */
  readonly releaseResult?: (result: T) => void;
}

export interface JobOptions {
  readonly sessionIds?: readonly string[];
  /** W3C traceparent for the ops of this job. */
  readonly traceparent?: string;
  /** Default: the current one. */
  readonly compatibilityVersion?: number;
}

/**
 * Evaluates graphs for many jobs at once (BuildKit docs/dev/solver.md). Jobs share vertices by digest: what several want runs
 * once, and each sees its progress. The algorithm is in solver-edge.ts.
 */
export class Solver<T> {
  readonly #context: SolveContext<T>;
  readonly #jobs = new Map<string, SolverJob<T>>();
  readonly #vertices = new Map<Digest, VertexState<T>>();
  readonly #jobWaiters = new Map<string, Set<(job: Job<T>) => void>>();

  constructor(options: SolverOptions<T>) {
    this.#context = {
      resolver: options.resolver,
      cache: options.cache,
      clock: options.clock,
      logger: options.logger,
      sessionGroup: options.sessionGroup,
      debugs: options.debugs ?? (() => false),
      mergeVertices: options.mergeVertices ?? ((known) => known),
      releaseResult: options.releaseResult,
      isLost: options.isLost ?? (() => true),
      runs: new RunIndex<T>(),
      draining: new Map(),
    };
  }

  /** @throws BuildError AlreadyExists */
  newJob(id: string, options: JobOptions = {}): Job<T> {
    if (this.#jobs.has(id)) throw new BuildError(Code.AlreadyExists, `job ID ${id} exists`);
    const job = new SolverJob<T>(id, options, this.#context.clock, {
      build: (self, edge, build) => this.#build(this.#load(edge.vertex, build.caches ?? [], self), edge, build.signal),
      outcomes: (self) => this.#outcomes(self),
      discredit: (self, error) => this.#discredit(self, error),
      drop: (self) => this.#drop(self),
    });
    this.#jobs.set(id, job);
    for (const wake of this.#jobWaiters.get(id) ?? []) wake(job);
    return job;
  }

  job(id: string): Job<T> | undefined {
    return this.#jobs.get(id);
  }

  /** The job, as soon as it exists: a client may ask for the status of a build before it starts it. */
  async waitForJob(id: string, signal: AbortSignal): Promise<Job<T>> {
    const known = this.#jobs.get(id);
    if (known !== undefined) return known;
    const waiters = this.#jobWaiters.get(id) ?? new Set();
    this.#jobWaiters.set(id, waiters);
    let wake: ((job: Job<T>) => void) | undefined;
    const created = new Promise<Job<T>>((resolve) => {
      wake = resolve;
      waiters.add(resolve);
    });
    try {
      return await withSignal(created, signal);
    } finally {
      if (wake !== undefined) waiters.delete(wake);
      if (waiters.size === 0) this.#jobWaiters.delete(id);
    }
  }

  /**
   * Builds an edge from within the run of `parent`, for all jobs that want the parent: nested definitions.
   * @throws BuildError as Job.build; InvalidArgument when the nested graph contains what waits for it
   */
  async buildNested(parent: Vertex, edge: Edge, options: BuildOptions<T>): Promise<CachedResult<T>> {
    const state = this.#find(parent);
    if (state === undefined) throw new BuildError(Code.Internal, `inactive parent ${parent.digest}`);
    for (const vertex of eachVertex(edge.vertex)) {
      const inner = this.#find(vertex);
      if (inner !== undefined && (inner === state || state.isInside(inner))) {
        throw new BuildError(Code.InvalidArgument, `nested build ${parent.digest} contains itself`);
      }
    }
    const root = this.#load(edge.vertex, options.caches ?? [], state);
    const built = await this.#build(root, edge, options.signal);
    state.nestedKeys.push(...built.cacheKeys.slice(0, 1));
    state.nested.add(root.edge(edge.index));
    return built;
  }

  /** Visits the op of every vertex below an edge that a job has built; an op that was not needed is undefined. For provenance. */
  walk(edge: Edge, visit: (vertex: Vertex, op: Op<T> | undefined) => void): void {
    for (const vertex of eachVertex(edge.vertex)) visit(vertex, this.#find(vertex)?.op);
  }

  /** Ids of the jobs that want a vertex now. */
  jobsOf(vertex: Vertex): readonly string[] {
    return Array.from(this.#find(vertex)?.jobs ?? [], ({ id }) => id);
  }

  /** For tests and metrics; all zero when no job is left. */
  counts(): { readonly jobs: number; readonly vertices: number; readonly runs: number; readonly draining: number } {
    const { runs, draining } = this.#context;
    return { jobs: this.#jobs.size, vertices: this.#vertices.size, runs: runs.size, draining: draining.size };
  }

  async #build(root: VertexState<T>, edge: Edge, signal: AbortSignal): Promise<CachedResult<T>> {
    try {
      const { result, cacheKeys } = await root.edge(edge.index).result.get(signal);
      return { result, cacheKeys };
    } catch (error) {
      throw buildFailure(error, signal);
    }
  }

  #find(vertex: Vertex): VertexState<T> | undefined {
    return this.#vertices.get(withoutCache(vertex.digest)) ?? this.#vertices.get(vertex.digest);
  }

  /** Makes the vertices of a graph part of the solver, for a job or for a vertex that builds them. */
  #load(root: Vertex, caches: readonly CacheManager<T>[], owner: SolverJob<T> | VertexState<T>): VertexState<T> {
    const loaded = new Map<Vertex, VertexState<T>>();
    for (const vertex of eachVertex(root)) {
      const inputs = vertex.inputs.map((input) => ({ state: loadedState(loaded, input.vertex), index: input.index }));
      const state = this.#stateFor(vertex, inputs);
      state.wantedAs(vertex);
      state.addImportedCaches(caches);
      if (owner instanceof VertexState) owner.adoptNested(state);
      else state.addJob(owner);
      loaded.set(vertex, state);
    }
    return loadedState(loaded, root);
  }

  /** A vertex that may use cache takes part in a run that ignores it, but not the other way round (map d2). */
  #stateFor(vertex: Vertex, inputs: VertexState<T>["inputs"]): VertexState<T> {
    const twin = this.#vertices.get(withoutCache(vertex.digest));
    if (twin !== undefined) return twin;
    const same = this.#vertices.get(vertex.digest);
    if (same !== undefined && (same.ignoreCache || !vertex.options.ignoreCache)) return same;
    const digest = same === undefined ? vertex.digest : withoutCache(vertex.digest);
    const state = new VertexState(vertex, digest, inputs, this.#context);
    this.#vertices.set(digest, state);
    return state;
  }

  #outcomes(job: SolverJob<T>): VertexOutcome[] {
    return this.#verticesOf(job).map((state) => state.outcome());
  }

  #verticesOf(job: SolverJob<T>): VertexState<T>[] {
    return [...this.#vertices.values()].filter((state) => state.jobs.has(job));
  }

  async #discredit(job: SolverJob<T>, error: unknown): Promise<readonly Edge[]> {
    await using loss = Loss.of(error, this.#context);
    if (loss === undefined) return [];
    const edges = this.#verticesOf(job).flatMap((state) => [...state.edges()]);
    const lost = edges.filter((edge) => edge.discreditMeant(loss));
    return lost.map(({ vertex, index }) => ({ vertex: vertex.vertex, index }));
  }

  async #drop(job: SolverJob<T>): Promise<void> {
    this.#jobs.delete(job.id);
    const ends: Promise<void>[] = [];
    for (const [digest, state] of this.#vertices) {
      if (!state.jobs.has(job)) continue;
      state.removeJob(job);
      if (state.jobs.size > 0) continue;
      this.#vertices.delete(digest);
      ends.push(this.#drain(digest, state));
    }
    await Promise.all(ends);
  }

  async #drain(digest: Digest, state: VertexState<T>): Promise<void> {
    const { draining } = this.#context;
    const end = Promise.all([draining.get(digest), state.dispose()]).then(() => {});
    draining.set(digest, end);
    try {
      await end;
    } finally {
      if (draining.get(digest) === end) draining.delete(digest);
    }
  }
}

interface JobHooks<T> {
  build(job: SolverJob<T>, edge: Edge, options: BuildOptions<T>): Promise<CachedResult<T>>;
  outcomes(job: SolverJob<T>): VertexOutcome[];
  discredit(job: SolverJob<T>, error: unknown): Promise<readonly Edge[]>;
  drop(job: SolverJob<T>): Promise<void>;
}

class SolverJob<T> implements Job<T>, JobMember {
  readonly id: string;
  readonly sessionIds: string[];
  readonly traceparent: string | undefined;
  readonly compatibilityVersion: number;
  readonly startedAt: number;
  readonly progressSink: JobProgress;
  readonly #clock: Clock;
  readonly #hooks: JobHooks<T>;
  readonly #abort = new AbortController();
  #discarded: Promise<void> | undefined;

  constructor(id: string, options: JobOptions, clock: Clock, hooks: JobHooks<T>) {
    this.id = id;
    this.sessionIds = [...(options.sessionIds ?? [])];
    this.traceparent = options.traceparent;
    this.compatibilityVersion = options.compatibilityVersion ?? currentCompatibilityVersion;
    this.startedAt = clock.now();
    this.progressSink = new JobProgress(clock);
    this.#clock = clock;
    this.#hooks = hooks;
  }

  async build(edge: Edge, options: BuildOptions<T>): Promise<CachedResult<T>> {
    const signal = AbortSignal.any([options.signal, this.#abort.signal]);
    if (signal.aborted) throw buildFailure(undefined, signal);
    return this.#hooks.build(this, edge, { ...options, signal });
  }

  progress(signal: AbortSignal): AsyncIterable<ProgressEvent> {
    return this.progressSink.read(signal);
  }

  async inVertex<R>(
    name: string,
    work: (progress: ProgressWriter, signal: AbortSignal) => Promise<R>,
    signal: AbortSignal,
  ): Promise<R> {
    const linked = AbortSignal.any([signal, this.#abort.signal]);
    const digest = sha256(`${name} ${randomUUID()}`);
    const progress = new VertexProgressWriter({ digest, name, inputs: [], cached: false }, this.#clock);
    progress.watch(this.progressSink);
    return progress.during(() => work(progress, linked), { cached: false, signal: linked });
  }

  warn(vertex: Digest, warning: ProgressWarning): void {
    this.progressSink.warning({ ...warning, vertex });
  }

  outcomes(): readonly JobVertexOutcome[] {
    return this.#hooks.outcomes(this).map((outcome) => {
      const number = this.progressSink.number(outcome.digest);
      return number === undefined ? outcome : { ...outcome, number };
    });
  }

  discredit(error: unknown): Promise<readonly Edge[]> {
    return this.#hooks.discredit(this, error);
  }

  discard(): Promise<void> {
    this.#discarded ??= this.#discard();
    return this.#discarded;
  }

  async #discard(): Promise<void> {
    this.#abort.abort(new BuildError(Code.Canceled, "context canceled"));
    this.progressSink.close();
    await this.#hooks.drop(this);
  }
}

function withoutCache(digest: Digest): Digest {
  return sha256(`${digest}-ignorecache`);
}

function loadedState<T>(loaded: ReadonlyMap<Vertex, VertexState<T>>, vertex: Vertex): VertexState<T> {
  const state = loaded.get(vertex);
  if (state === undefined) throw new BuildError(Code.Internal, `input ${vertex.digest} is not loaded`);
  return state;
}

function eachVertex(root: Vertex): Generator<Vertex> {
  return inputsFirst(root, ({ inputs }) => inputs.map(({ vertex }) => vertex));
}
