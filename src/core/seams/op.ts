import type { Digest } from "../values/digest.ts";
import type { ProgressWriter } from "./progress.ts";
import type { SessionGroup } from "./session-caller.ts";

/**
 * How one vertex is cached and run. `T` is the type of a result; the solver never looks inside it.
 * One Op object serves a vertex for all builds in flight; its methods may be called again after a failure.
 */
export interface Op<T> {
  /**
   * Cache map number `index` (0, 1, …). Most ops have one; an image source has one by manifest and one by config (map d5).
   * `done` is true for the last.
   */
  cacheMap(index: number, context: OpContext): Promise<{ readonly map: CacheMap<T>; readonly done: boolean }>;
  /** Runs the vertex. One result per output. */
  exec(inputs: readonly T[], context: OpContext): Promise<readonly T[]>;
  /** Immutable identity of what a source is, once its cache map is known. For provenance. */
  readonly pin?: string | undefined;
}

export interface CacheMap<T> {
  /** The op's own part of the key: no inputs in it. */
  readonly digest: Digest;
  /** One per input of the vertex. */
  readonly deps: readonly CacheMapDep<T>[];
  /** Key which must not be stored: it holds for this session only (`random:` keys, map d10). */
  readonly ephemeral?: boolean;
}

export interface CacheMapDep<T> {
  /** Enters the link from the input's key to ours (map d17). */
  readonly selector?: Digest;
  /** Content digest of the input's result: the slow key (map d4). Absent when the definition key is all there is. */
  readonly computeDigest?: (result: T, context: OpContext) => Promise<Digest>;
}

export interface OpContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  /** Sessions of all builds which want the vertex now. */
  readonly sessions: SessionGroup;
  /** Ids of the builds that want the vertex now. */
  readonly builds: readonly string[];
  readonly traceparent?: string;
  /** The vertex as all builds want it that have asked so far: metadata may differ from build to build. */
  readonly vertex: Vertex;
  /** Asked of all builds which want the vertex now. @throws BuildError when they do not want the same */
  readonly compatibilityVersion: number;
}

export interface OpResolver<T> {
  /** @throws BuildError when the vertex can never run here */
  resolve(vertex: Vertex): Op<T>;
}

/** A node of the LLB graph. Immutable; digests identify. */
export interface Vertex {
  readonly digest: Digest;
  readonly name: string;
  readonly inputs: readonly Edge[];
  readonly options: VertexOptions;
  /** What the op is made from; only the OpResolver reads it. */
  readonly payload: unknown;
}

export interface VertexOptions {
  readonly ignoreCache: boolean;
  /** LLB description map (`llb.customname` …). */
  readonly description: Readonly<Record<string, string>>;
  readonly progressGroup?: { readonly id: string; readonly name: string; readonly weak: boolean };
  /** export_cache override; absent = default. */
  readonly exportCache?: boolean;
}

/** Output `index` of a vertex. */
export interface Edge {
  readonly vertex: Vertex;
  readonly index: number;
}
