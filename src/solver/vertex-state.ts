import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { CacheMap, Op, Vertex } from "../core/seams/op.ts";
import type { Digest } from "../core/values/digest.ts";
import { withSignal } from "../util/abort.ts";
import { allOrAbort } from "../util/all-or-abort.ts";
import type { SolverCache } from "./cache.ts";
import type { CacheKey } from "./cache-key.ts";
import type { CacheManager } from "./cache-manager.ts";
import type { HeldResult } from "./cached-result.ts";
import { CombinedCacheManager } from "./combined-cache-manager.ts";
import type { Loss } from "./loss.ts";
import { opContext } from "./op-context.ts";
import { readInputs } from "./read-inputs.ts";
import { RunsAgain } from "./runs-again.ts";
import { SharedResult } from "./shared-result.ts";
import { SharedTask } from "./shared-task.ts";
import type { JobMember, SolveContext } from "./solve-context.ts";
import { SolverEdge } from "./solver-edge.ts";
import { withVertex } from "./vertex-error.ts";
import type { VertexOutcome } from "./vertex-outcome.ts";
import { initialProgress, VertexProgressWriter } from "./vertex-progress.ts";

export interface LoadedCacheMap<T> {
  readonly map: CacheMap<T>;
  readonly done: boolean;
}

export interface VertexInput<T> {
  readonly state: VertexState<T>;
  readonly index: number;
}

/** What a run gave, and on what. */
export interface VertexRun<T> {
  readonly outputs: readonly SharedResult<T>[];
  readonly inputs: readonly HeldResult<T>[];
}

/** Content digest of the result of an input. */
export interface ContentDigest<T> {
  readonly digest: Digest;
  readonly of: HeldResult<T>;
}

/**
 * A vertex while at least one job wants it; there is one per identity in the whole solver (map d1). It owns what is done once
 * per vertex, whatever output is asked for: cache maps, content digests of inputs, the run. It dies with its last job.
 */
export class VertexState<T> {
  /** Identity: the vertex digest, or that of its ignore-cache twin (map d2). Progress goes under this digest. */
  readonly digest: Digest;
  readonly inputs: readonly VertexInput<T>[];
  readonly context: SolveContext<T>;
  readonly progress: VertexProgressWriter;
  readonly jobs = new Set<JobMember>();
  readonly exec: SharedTask<VertexRun<T>>;
  /** Keys of what the run has built so far, for cache export. */
  readonly nestedKeys: CacheKey<T>[] = [];
  /** What the run has built. */
  readonly nested = new Set<SolverEdge<T>>();
  /** Vertices whose run asked for this one through a nested build. */
  readonly #parents = new Set<VertexState<T>>();
  /** Vertices that live as long as this one: of nested builds, and the runs it has joined. */
  readonly #dependents = new Set<VertexState<T>>();
  readonly #imported = new Map<string, CacheManager<T>>();
  readonly #edges = new Map<number, SolverEdge<T>>();
  readonly #cacheMaps: SharedTask<LoadedCacheMap<T>>[] = [];
  readonly #contentDigests: SharedTask<ContentDigest<T>>[] = [];
  readonly #held: SharedResult<T>[] = [];
  readonly #runsAgain = new RunsAgain<T>();
  #combined: CombinedCacheManager<T> | undefined;
  #op: Op<T> | undefined;
  #vertex: Vertex;
  #disposed = false;

  constructor(vertex: Vertex, digest: Digest, inputs: readonly VertexInput<T>[], context: SolveContext<T>) {
    this.#vertex = vertex;
    this.digest = digest;
    this.inputs = inputs;
    this.context = context;
    // Inputs come first, so that no edge has to make a whole chain of them.
    for (const input of inputs) input.state.edge(input.index);
    const inputDigests = inputs.map(({ state }) => state.digest);
    this.progress = new VertexProgressWriter(initialProgress(vertex, digest, inputDigests), context.clock);
    this.exec = new SharedTask((signal) => this.#exec(signal));
  }

  get vertex(): Vertex {
    return this.#vertex;
  }

  get ignoreCache(): boolean {
    return this.vertex.options.ignoreCache;
  }

  /** The local store, with the imported ones of all builds that want the vertex. */
  get cache(): SolverCache<T> {
    const { cache: main, logger } = this.context;
    if (this.#imported.size === 0) return main;
    this.#combined ??= new CombinedCacheManager({ main, imported: [...this.#imported.values()], logger });
    return this.#combined;
  }

  get op(): Op<T> | undefined {
    return this.#op;
  }

  /** Trace that work for the vertex belongs to: that of the first job that has one. */
  get traceparent(): string | undefined {
    return Array.from(this.jobs, (job) => job.traceparent).find((value) => value !== undefined);
  }

  edges(): Iterable<SolverEdge<T>> {
    return this.#edges.values();
  }

  edge(index: number): SolverEdge<T> {
    let edge = this.#edges.get(index);
    if (edge === undefined) {
      edge = new SolverEdge(this, index);
      this.#edges.set(index, edge);
    }
    return edge;
  }

  /** @throws BuildError `failed to load cache key: …`, names the vertex */
  async cacheMap(index: number, signal: AbortSignal): Promise<LoadedCacheMap<T>> {
    this.throwIfDisposed();
    this.#cacheMaps[index] ??= new SharedTask((task) => this.#loadCacheMap(index, task));
    return this.#cacheMaps[index].get(signal);
  }

  /** Content digest of an input's result. @throws BuildError `failed to compute cache key: …`, names the vertex */
  async contentDigest(input: number, signal: AbortSignal): Promise<ContentDigest<T>> {
    this.throwIfDisposed();
    this.#contentDigests[input] ??= new SharedTask((task) => this.#computeContentDigest(input, task));
    const digests = this.#contentDigests[input];
    const source = this.#inputEdge(input);
    for (;;) {
      const known = await digests.get(signal);
      if (source.result.outcome === undefined || source.result.has(known.of)) return known;
      // It was made anew since.
      digests.forget(known);
    }
  }

  /**
   * What the last run made is lost, and perhaps what it was made from: who asks from now on has it run again.
   * @returns false when that would be of no use
   */
  runAgain(output: SharedResult<T>, loss: Loss<T>): boolean {
    const run = this.exec.outcome?.ok === true ? this.exec.outcome.value : undefined;
    // It has, for another output.
    if (run?.outputs.includes(output) !== true) return true;
    const below = [...this.inputs.map((_, input) => this.#inputEdge(input)), ...this.nested];
    // All of them, whatever becomes of the others.
    const discreditBelow = () => below.map((edge) => edge.discreditMeant(loss)).includes(true);
    if (!this.#runsAgain.admits(output.value, loss, discreditBelow)) return false;
    this.exec.forget(run);
    return true;
  }

  /** What has become of it so far. */
  outcome(): VertexOutcome {
    const edges = [...this.#edges.values()];
    const loadedFrom = edges.find((edge) => edge.loadedFrom !== undefined)?.loadedFrom;
    const pin = this.#op?.pin;
    return {
      vertex: this.vertex,
      digest: this.digest,
      how: this.#how(edges),
      keys: this.#cacheMaps.flatMap((task) => (task?.outcome?.ok === true ? [task.outcome.value.map.digest] : [])),
      inputs: this.inputs.map((_, index) => this.#inputOutcome(index)),
      lostResult: edges.some((edge) => edge.lostResult),
      ...(loadedFrom === undefined ? {} : { loadedFrom }),
      ...(pin === undefined ? {} : { pin }),
    };
  }

  #how(edges: readonly SolverEdge<T>[]): VertexOutcome["how"] {
    if (this.exec.outcome !== undefined) return this.exec.outcome.ok ? "ran" : "failed";
    if (edges.some((edge) => edge.loadedFrom !== undefined)) return "cached";
    if (edges.some((edge) => edge.joined)) return "joined";
    return this.progress.error === undefined ? "unused" : "failed";
  }

  #inputOutcome(index: number): VertexOutcome["inputs"][number] {
    const { state, index: output } = this.inputs[index] as VertexInput<T>;
    const map = this.#cacheMaps[0]?.outcome;
    const selector = map?.ok === true ? map.value.map.deps[index]?.selector : undefined;
    const content = this.#contentDigests[index]?.outcome;
    return {
      digest: state.digest,
      output,
      ...(selector === undefined ? {} : { selector }),
      ...(content?.ok === true ? { content: content.value.digest } : {}),
    };
  }

  /** Keeps a result until the vertex dies. */
  hold(result: SharedResult<T>): void {
    this.#held.push(result);
  }

  /** A build wants the vertex, perhaps with other metadata than those before it. */
  wantedAs(other: Vertex): void {
    if (other !== this.#vertex) this.#vertex = this.context.mergeVertices(this.#vertex, other);
  }

  addJob(job: JobMember): void {
    const open: VertexState<T>[] = [this];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (state.jobs.has(job)) continue;
      state.jobs.add(job);
      state.progress.watch(job.progressSink);
      open.push(...state.#dependents);
      for (const input of state.inputs) open.push(input.state);
    }
  }

  removeJob(job: JobMember): void {
    this.jobs.delete(job);
    this.progress.unwatch(job.progressSink);
  }

  addImportedCaches(caches: Iterable<CacheManager<T>>): void {
    for (const cache of caches) {
      if (this.#imported.has(cache.id)) continue;
      this.#imported.set(cache.id, cache);
      this.#combined = undefined;
    }
  }

  /** The other vertex stays alive for the jobs of this one, present and future. */
  keepAlive(other: VertexState<T>): void {
    if (other === this) return;
    this.#dependents.add(other);
    for (const job of this.jobs) other.addJob(job);
  }

  /** `child` is asked for by this vertex's own run. */
  adoptNested(child: VertexState<T>): void {
    child.#parents.add(this);
    child.addImportedCaches(this.#imported.values());
    this.keepAlive(child);
  }

  /** What waits for this vertex through nested builds also waits for `other` from now on. */
  shareParents(other: VertexState<T>): void {
    for (const parent of this.#parents) if (parent !== other) other.#parents.add(parent);
  }

  /** True when this vertex is wanted, through nested builds, by the run of `other`. */
  isInside(other: VertexState<T>): boolean {
    const seen = new Set<VertexState<T>>();
    const open: VertexState<T>[] = [this];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (seen.has(state)) continue;
      seen.add(state);
      if (state.#parents.has(other)) return true;
      open.push(...state.#parents);
    }
    return false;
  }

  /** True when `other` is this vertex or lies below it. */
  dependsOn(other: VertexState<T>): boolean {
    const seen = new Set<VertexState<T>>();
    const open: VertexState<T>[] = [this];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (state === other) return true;
      if (seen.has(state)) continue;
      seen.add(state);
      open.push(...state.inputs.map((input) => input.state));
    }
    return false;
  }

  /**
   * Closes all tasks, then lets go of everything once they have come to rest. By then nobody can want the vertex: those above
   * it are closed too, or wind down without it.
   */
  async dispose(): Promise<void> {
    this.#disposed = true;
    const edges = [...this.#edges.values()];
    for (const edge of edges) this.context.runs.remove(edge);
    const tasks = [this.exec, ...this.#cacheMaps, ...this.#contentDigests, ...edges.flatMap((edge) => edge.tasks())];
    await Promise.all(tasks.map((task) => task?.close()));
    for (const result of this.#held.splice(0)) result.release();
    for (const child of this.#dependents) child.#parents.delete(this);
  }

  /** For work that is about to be shared. @throws BuildError Canceled when no job wants the vertex any more */
  throwIfDisposed(): void {
    if (this.#disposed) throw new BuildError(Code.Canceled, "context canceled");
  }

  async #loadCacheMap(index: number, signal: AbortSignal): Promise<LoadedCacheMap<T>> {
    try {
      this.#op ??= this.context.resolver.resolve(this.vertex);
      const op = this.#op;
      const load = () => op.cacheMap(index, opContext(this, signal));
      const loaded = await (this.inputs.length > 0 ? load() : this.progress.during(load, { cached: false, signal }));
      if (loaded.map.deps.length !== this.inputs.length) {
        throw new BuildError(
          Code.Internal,
          `invalid cache map with ${loaded.map.deps.length} inputs for a vertex with ${this.inputs.length}`,
        );
      }
      return loaded;
    } catch (error) {
      throw withVertex(error, this.vertex.digest, "failed to load cache key");
    }
  }

  #inputEdge(index: number): SolverEdge<T> {
    const input = this.inputs[index];
    if (input === undefined) throw new BuildError(Code.Internal, `${this.digest} has no input ${index}`);
    return input.state.edge(input.index);
  }

  async #computeContentDigest(input: number, signal: AbortSignal): Promise<ContentDigest<T>> {
    const { map } = await this.cacheMap(0, signal);
    const compute = map.deps[input]?.computeDigest;
    if (compute === undefined) {
      throw new BuildError(Code.Internal, `input ${input} of ${this.digest} has no content digest`);
    }
    const edge = this.#inputEdge(input);
    await edge.result.get(signal);
    const digestOf = async ([of]: readonly HeldResult<T>[]) => {
      if (of === undefined) throw new BuildError(Code.Internal, "no input was read");
      return { digest: await compute(of.result, opContext(this, signal)), of };
    };
    try {
      return await readInputs([edge], digestOf, { signal, progress: this.progress });
    } catch (error) {
      // The vertex did not run yet: let it fail visibly.
      if (!signal.aborted) {
        await this.progress.during(() => Promise.reject(error), { cached: false, signal }).catch(() => {});
      }
      throw withVertex(error, this.vertex.digest, "failed to compute cache key");
    }
  }

  async #exec(signal: AbortSignal): Promise<VertexRun<T>> {
    await withSignal(this.context.draining.get(this.digest) ?? Promise.resolve(), signal);
    await this.cacheMap(0, signal);
    const op = this.#op;
    if (op === undefined) throw new BuildError(Code.Internal, `vertex ${this.digest} has no op`);
    const edges = this.inputs.map((_, index) => this.#inputEdge(index));
    await allOrAbort(edges, signal, (edge, task) => edge.result.get(task));
    const { progress } = this;
    const run = async (inputs: readonly HeldResult<T>[]) => {
      const results = inputs.map(({ result }) => result);
      return { inputs, outputs: await op.exec(results, opContext(this, signal)) };
    };
    try {
      const { inputs, outputs } = await progress.during(() => readInputs(edges, run, { signal, progress }), {
        cached: false,
        signal,
      });
      const shared = outputs.map((output) => new SharedResult(output, this.context.releaseResult));
      for (const result of shared) this.hold(result);
      return { inputs, outputs: shared };
    } catch (error) {
      throw withVertex(error, this.vertex.digest);
    }
  }
}
