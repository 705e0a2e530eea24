import type { CacheMap, Op, OpContext, OpResolver, Vertex } from "../../core/seams/op.ts";
import { inSpan, type Span } from "../../telemetry/index.ts";

/** Spans for what is done for a vertex, named as BuildKit names them (solver/jobs.go): `cache request: <vertex>`, `<vertex>`. */
export class TracingOpResolver<T> implements OpResolver<T> {
  readonly #inner: OpResolver<T>;

  constructor(inner: OpResolver<T>) {
    this.#inner = inner;
  }

  resolve(vertex: Vertex): Op<T> {
    return new TracingOp(vertex, this.#inner.resolve(vertex));
  }
}

class TracingOp<T> implements Op<T> {
  readonly #vertex: Vertex;
  readonly #inner: Op<T>;

  constructor(vertex: Vertex, inner: Op<T>) {
    this.#vertex = vertex;
    this.#inner = inner;
  }

  get pin(): string | undefined {
    return this.#inner.pin;
  }

  async cacheMap(index: number, context: OpContext): Promise<{ readonly map: CacheMap<T>; readonly done: boolean }> {
    const name = `cache request: ${this.#vertex.name}`;
    const { map, done } = await this.#inSpan(name, context, (inner) => this.#inner.cacheMap(index, inner));
    return { map: { ...map, deps: map.deps.map((dep) => this.#tracedDep(dep)) }, done };
  }

  async exec(inputs: readonly T[], context: OpContext): Promise<readonly T[]> {
    return this.#inSpan(this.#vertex.name, context, (inner) => this.#inner.exec(inputs, inner));
  }

  #tracedDep(dep: CacheMap<T>["deps"][number]): CacheMap<T>["deps"][number] {
    const { computeDigest } = dep;
    if (computeDigest === undefined) return dep;
    const name = `content digest: ${this.#vertex.name}`;
    return {
      ...dep,
      computeDigest: (result, context) => this.#inSpan(name, context, (inner) => computeDigest(result, inner)),
    };
  }

  #inSpan<R>(name: string, context: OpContext, work: (context: OpContext) => Promise<R>): Promise<R> {
    const options = { parent: context.traceparent, attributes: { vertex: this.#vertex.digest } };
    return inSpan(name, options, (span) => work(within(context, span)));
  }
}

/** Not a copy by spread: getters are asked each time. */
function within(context: OpContext, { traceparent }: Span): OpContext {
  if (traceparent === undefined) return context;
  const { signal, progress, vertex } = context;
  return {
    signal,
    progress,
    vertex,
    get sessions() {
      return context.sessions;
    },
    get builds() {
      return context.builds;
    },
    get compatibilityVersion() {
      return context.compatibilityVersion;
    },
    traceparent,
  };
}
