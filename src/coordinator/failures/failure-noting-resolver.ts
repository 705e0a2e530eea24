import { findCause } from "../../core/errors/step-failed-error.ts";
import type { CacheMap, Op, OpContext, OpResolver, Vertex } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import { SolveError } from "./solve-error.ts";

/** Turns failures of vertices into SolveErrors. */
export class FailureNotingResolver implements OpResolver<Ref> {
  readonly #inner: OpResolver<Ref>;
  readonly #onFailure: (failure: SolveError) => void;

  /** @param onFailure takes over the layers of a failure */
  constructor(inner: OpResolver<Ref>, onFailure: (failure: SolveError) => void) {
    this.#inner = inner;
    this.#onFailure = onFailure;
  }

  resolve(vertex: Vertex): Op<Ref> {
    return new FailureNotingOp(vertex, this.#inner.resolve(vertex), this.#onFailure);
  }
}

class FailureNotingOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #inner: Op<Ref>;
  readonly #onFailure: (failure: SolveError) => void;

  constructor(vertex: Vertex, inner: Op<Ref>, onFailure: (failure: SolveError) => void) {
    this.#vertex = vertex;
    this.#inner = inner;
    this.#onFailure = onFailure;
  }

  get pin(): string | undefined {
    return this.#inner.pin;
  }

  async cacheMap(index: number, context: OpContext): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    const load = () => this.#inner.cacheMap(index, context);
    const { map, done } = await this.#noted(load, context, (error) => SolveError.ofCacheMap(error, this.#vertex));
    return { map: { ...map, deps: map.deps.map((dep, input) => this.#notedDep(dep, input)) }, done };
  }

  async exec(inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const run = () => this.#inner.exec(inputs, context);
    return this.#noted(run, context, (error) => SolveError.ofRun(error, this.#vertex, inputs));
  }

  #notedDep(dep: CacheMap<Ref>["deps"][number], input: number): CacheMap<Ref>["deps"][number] {
    const { computeDigest } = dep;
    if (computeDigest === undefined) return dep;
    return {
      ...dep,
      computeDigest: (ref, context) =>
        this.#noted(
          () => computeDigest(ref, context),
          context,
          (error) => SolveError.ofContentKey(error, this.#vertex, input, ref),
        ),
    };
  }

  async #noted<R>(
    work: () => Promise<R>,
    { signal }: OpContext,
    failureOf: (error: unknown) => SolveError,
  ): Promise<R> {
    try {
      return await work();
    } catch (error) {
      // Of nested builds the inner step counts.
      if (findCause(error, SolveError) !== undefined) throw error;
      const failure = failureOf(error);
      // A cancelled step has not failed; but what it left all the same is somebody's.
      if (!signal.aborted || failure.layers.length > 0) this.#onFailure(failure);
      throw signal.aborted ? error : failure;
    }
  }
}
