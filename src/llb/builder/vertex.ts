import type { Input, OpMetadata } from "../../api/gen/ops.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { SourceLocation } from "./source-map.ts";

/** One operation of a graph under construction. */
export interface Vertex {
  /** What it depends on; the order decides the order of ops in the definition. */
  inputs(): readonly Output[];
  /** Called once per `MarshalContext`. */
  marshal(context: MarshalContext): MarshalledVertex;
}

/** One output of a vertex. */
export interface Output {
  /** undefined: an empty file system. */
  vertex(): Vertex | undefined;
  index(): number;
  /** Platform that steps on top take over. */
  readonly platform?: Platform;
}

export interface MarshalledVertex {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly metadata: OpMetadata;
  readonly locations: readonly SourceLocation[];
}

/** Defaults of one definition, and the vertices marshalled so far. */
export class MarshalContext {
  readonly platform: Platform;
  /** Makes local sources without a session distinct. */
  readonly localUniqueId: string;
  readonly #done = new Map<Vertex, MarshalledVertex>();

  constructor(platform: Platform, localUniqueId: string) {
    this.platform = platform;
    this.localUniqueId = localUniqueId;
  }

  marshal(vertex: Vertex): MarshalledVertex {
    const known = this.#done.get(vertex);
    if (known !== undefined) return known;
    const made = vertex.marshal(this);
    this.#done.set(vertex, made);
    return made;
  }

  /** The output as an op input; undefined for an empty file system. */
  input(output: Output | undefined): Input | undefined {
    const vertex = output?.vertex();
    if (output === undefined || vertex === undefined) return undefined;
    return { digest: this.marshal(vertex).digest, index: output.index() };
  }
}

/** Adds an input unless the list has it. @returns its index, -1 for an empty file system */
export function addInput(inputs: Input[], input: Input | undefined): number {
  if (input === undefined) return -1;
  const at = inputs.findIndex((known) => known.digest === input.digest && known.index === input.index);
  return at >= 0 ? at : inputs.push(input) - 1;
}

/** An output whose vertex is known only when the graph is marshalled; asked once. */
export class DeferredOutput implements Output {
  readonly #resolve: () => Output | undefined;
  #target: { readonly output: Output | undefined } | undefined;

  constructor(resolve: () => Output | undefined) {
    this.#resolve = resolve;
  }

  vertex(): Vertex | undefined {
    return this.#output()?.vertex();
  }

  index(): number {
    return this.#output()?.index() ?? 0;
  }

  #output(): Output | undefined {
    this.#target ??= { output: this.#resolve() };
    return this.#target.output;
  }
}
