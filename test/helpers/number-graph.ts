import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import { LayerLostError } from "../../src/core/errors/layer-lost-error.ts";
import type { CacheResultRecord, CacheResultStorage } from "../../src/core/seams/cache-storage.ts";
import type { Clock } from "../../src/core/seams/clock.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { CacheMap, Edge, Op, OpContext, OpResolver, Vertex, VertexOptions } from "../../src/core/seams/op.ts";
import { type Digest, sha256 } from "../../src/core/values/digest.ts";
import type { LayerId } from "../../src/core/values/layer.ts";
import { CacheManager, MemoryCacheKeyStorage, Solver, type SolverOptions } from "../../src/solver/index.ts";
import { sleep } from "../../src/util/abort.ts";

/** A result: its value is what counts as content. */
export interface NumberResult {
  readonly id: string;
  readonly value: number;
  /** What its bytes are in: its own id, on top of those of its first input. */
  readonly layers: readonly string[];
}

export interface NumberSpec {
  readonly name: string;
  readonly inputs?: readonly Edge[];
  /** Value of output 0; output n is the value + n. Default: the sum of the inputs. */
  readonly compute?: (inputs: readonly number[]) => number;
  readonly outputs?: number;
  /** What enters the op's own key; default the name. Several: one cache map each. */
  readonly keys?: readonly string[];
  /** Looks at the content of these inputs. */
  readonly content?: readonly number[];
  readonly selectors?: Readonly<Record<number, string>>;
  readonly ignoreCache?: boolean;
  /** Key that no store may keep. */
  readonly random?: boolean;
  readonly failMap?: string;
  readonly failExec?: string;
  /** Its result is the layers of its inputs, of which it reads none. */
  readonly merges?: boolean;
  /** Looks at the inputs before it runs and afterwards. */
  readonly reads?: (inputs: readonly NumberResult[]) => void;
  /** Runs within exec, e.g. to hold it at a gate. */
  readonly during?: (context: OpContext) => Promise<void>;
  /** Called before the content of an input is told. */
  readonly duringContent?: () => void;
  readonly duringMap?: (index: number, context: OpContext) => Promise<void>;
  /** Same digest although anything else differs. */
  readonly digest?: string;
}

export interface NumberVertex extends Vertex {
  readonly payload: NumberOp;
}

export function vertex(spec: NumberSpec): NumberVertex {
  const inputs = spec.inputs ?? [];
  const options: VertexOptions = { ignoreCache: spec.ignoreCache ?? false, description: {} };
  const identity =
    spec.digest ?? `${spec.name} ${inputs.map((edge) => `${edge.vertex.digest}:${edge.index}`).join(" ")}`;
  return { digest: sha256(identity), name: spec.name, inputs, options, payload: new NumberOp(spec) };
}

export function edge(of: Vertex, index = 0): Edge {
  return { vertex: of, index };
}

/** `const`, `sum` and everything between: counts its calls. */
export class NumberOp implements Op<NumberResult> {
  readonly spec: NumberSpec;
  maps = 0;
  execs = 0;
  contents = 0;
  running = 0;
  /** More than one run at a time would show here. */
  mostAtOnce = 0;

  constructor(spec: NumberSpec) {
    this.spec = spec;
  }

  async cacheMap(index: number, context: OpContext) {
    this.maps++;
    await this.spec.duringMap?.(index, context);
    context.signal.throwIfAborted();
    if (this.spec.failMap !== undefined) throw new Error(this.spec.failMap);
    const keys = this.spec.keys ?? [this.spec.name];
    const digest = sha256(`number ${keys[index]}`);
    const map: CacheMap<NumberResult> = {
      digest: this.spec.random === true ? (digest.replace("sha256:", "random:") as Digest) : digest,
      deps: (this.spec.inputs ?? []).map((_, input) => {
        const selector = this.spec.selectors?.[input];
        return {
          ...(selector === undefined ? {} : { selector: sha256(selector) }),
          ...(this.spec.content?.includes(input) === true
            ? {
                computeDigest: async (result: NumberResult) => {
                  this.contents++;
                  this.spec.reads?.([result]);
                  this.spec.duringContent?.();
                  return sha256(`content ${result.value}`);
                },
              }
            : {}),
        };
      }),
    };
    return { map, done: index >= keys.length - 1 };
  }

  async exec(inputs: readonly NumberResult[], context: OpContext): Promise<readonly NumberResult[]> {
    this.execs++;
    this.running++;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.running);
    try {
      this.spec.reads?.(inputs);
      await this.spec.during?.(context);
      context.signal.throwIfAborted();
      this.spec.reads?.(inputs);
      if (this.spec.failExec !== undefined) throw new Error(this.spec.failExec);
      const values = inputs.map(({ value }) => value);
      const value = this.spec.compute?.(values) ?? values.reduce((sum, each) => sum + each, 0);
      const layers = this.spec.merges ? inputs.flatMap((input) => input.layers) : undefined;
      return Array.from({ length: this.spec.outputs ?? 1 }, (_, output) =>
        results.make(value + output, inputs[0]?.layers, layers),
      );
    } finally {
      this.running--;
    }
  }
}

/** Every result made and not released; a test that leaves some has leaked. */
export class ResultLedger {
  #next = 0;
  readonly live = new Set<NumberResult>();

  make(value: number, below: readonly string[] = [], layers?: readonly string[]): NumberResult {
    const id = `r${this.#next++}`;
    const result = { id, value, layers: layers ?? [...below, id] };
    this.live.add(result);
    return result;
  }

  release(result: NumberResult): void {
    if (!this.live.delete(result)) throw new Error(`${result.id} released twice`);
  }
}

export const results = new ResultLedger();

/** Remembers values by result id; a loaded result is a new object with the same id. */
export class MemoryResults implements CacheResultStorage<NumberResult> {
  readonly #results = new Map<string, NumberResult>();
  loads = 0;
  /** Ids that exist but cannot be loaded. */
  readonly broken = new Set<string>();

  async save(result: NumberResult, createdAt: number): Promise<CacheResultRecord> {
    this.#results.set(result.id, result);
    return { id: result.id, createdAt };
  }

  async load(record: CacheResultRecord): Promise<NumberResult | undefined> {
    this.loads++;
    if (this.broken.has(record.id)) throw new Error(`${record.id} is broken`);
    const known = this.#results.get(record.id);
    if (known === undefined) return undefined;
    const result = { ...known };
    results.live.add(result);
    return result;
  }

  async exists(id: string): Promise<boolean> {
    return this.#results.has(id);
  }

  forget(id: string): void {
    this.#results.delete(id);
  }

  ids(): string[] {
    return [...this.#results.keys()];
  }
}

/** Moves on by one with each look at it. */
export class CountingClock implements Clock {
  #now = 1_000;

  now(): number {
    return this.#now++;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleep(ms, signal);
  }
}

export interface NumberSolver {
  readonly solver: Solver<NumberResult>;
  readonly cache: CacheManager<NumberResult>;
  readonly keys: MemoryCacheKeyStorage;
  readonly stored: MemoryResults;
}

/** Layers that nobody has any more. */
export class LostLayers {
  readonly #lost = new Set<string>();

  add(...layers: readonly string[]): void {
    for (const id of layers) this.#lost.add(id);
  }

  /** For `NumberSpec.reads`. @throws LayerLostError */
  readonly reads = (inputs: readonly Pick<NumberResult, "layers">[]): void => {
    const lost = inputs.flatMap(({ layers }) => layers).filter((id) => this.#lost.has(id));
    if (lost.length > 0) {
      throw new LayerLostError(new BuildError(Code.Unavailable, `layers ${lost} are lost`), lost as LayerId[]);
    }
  };
}

const resolver: OpResolver<NumberResult> = { resolve: (of) => (of as NumberVertex).payload };

/** A second solver over the same cache stands for a later process. */
export function numberSolver(before?: NumberSolver, more: Partial<SolverOptions<NumberResult>> = {}): NumberSolver {
  const keys = before?.keys ?? new MemoryCacheKeyStorage();
  const stored = before?.stored ?? new MemoryResults();
  const cache = before?.cache ?? numberCache("local", keys, stored);
  const solver = new Solver<NumberResult>({
    resolver,
    cache,
    clock: new CountingClock(),
    logger: silentLogger,
    sessionGroup: (ids) => ({ ids, get: noSession, any: noSession }),
    releaseResult: (result) => results.release(result),
    isLost: (error, { layers }) => {
      const lost = LayerLostError.layersOf(error);
      return lost.length === 0 || lost.some((id) => layers.includes(id));
    },
    ...more,
  });
  return { solver, cache, keys, stored };
}

export function numberCache(id: string, keys = new MemoryCacheKeyStorage(), stored = new MemoryResults()) {
  return new CacheManager<NumberResult>({ id, keys, results: stored });
}

async function noSession(): Promise<never> {
  throw new Error("no session");
}

/** Builds one edge in a job of its own. */
export async function buildOnce(
  { solver }: Pick<NumberSolver, "solver">,
  of: Vertex | Edge,
  options: { readonly caches?: readonly CacheManager<NumberResult>[] } = {},
): Promise<number> {
  const job = solver.newJob(`job ${Math.random()}`);
  try {
    const target = "vertex" in of ? of : edge(of);
    return (await job.build(target, { signal: new AbortController().signal, ...options })).result.value;
  } finally {
    await job.discard();
  }
}

export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve));
}
