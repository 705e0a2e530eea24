import { type Definition, Op, type OpMetadata } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { SourceLocation } from "./source-map.ts";
import { State, scratch } from "./state.ts";
import type { MarshalledVertex, Output, Vertex } from "./vertex.ts";
import { platformFromWire } from "./vertex-options.ts";

/** A state over a finished definition, e.g. an input of a frontend (BuildKit client/llb/definition.go). */
export function stateFromDefinition(definition: Definition): State {
  const graph = new DefinitionGraph(definition);
  return graph.head === undefined ? scratch() : State.of(graph.head);
}

class DefinitionGraph {
  readonly head: Output | undefined;
  readonly #definition: Definition;
  readonly #ops = new Map<string, { readonly op: Op; readonly bytes: Uint8Array }>();
  readonly #vertices = new Map<string, Vertex>();

  constructor(definition: Definition) {
    this.#definition = definition;
    let last: Op | undefined;
    for (const bytes of definition.def) {
      last = Op.decode(bytes);
      this.#ops.set(sha256(bytes), { op: last, bytes });
    }
    const input = last?.inputs[0];
    this.head = input === undefined ? undefined : this.#output(input.digest, input.index);
  }

  #output(digest: string, index: number): Output {
    const platform = this.#platform(digest);
    return {
      vertex: () => this.#vertex(digest),
      index: () => index,
      ...(platform === undefined ? {} : { platform }),
    };
  }

  #platform(digest: string): Platform | undefined {
    const platform = this.#ops.get(digest)?.op.platform;
    return platform === undefined ? undefined : platformFromWire(platform);
  }

  #vertex(digest: string): Vertex {
    const known = this.#vertices.get(digest);
    if (known !== undefined) return known;
    const entry = this.#ops.get(digest);
    if (entry === undefined) {
      throw new BuildError(Code.InvalidArgument, `invalid definition op with unknown op "${digest}"`);
    }
    const vertex: Vertex = {
      inputs: () => entry.op.inputs.map((input) => this.#output(input.digest, input.index)),
      marshal: (): MarshalledVertex => ({
        digest: digest as Digest,
        bytes: entry.bytes,
        metadata: this.#definition.metadata[digest] ?? emptyMetadata,
        locations: this.#locations(digest),
      }),
    };
    this.#vertices.set(digest, vertex);
    return vertex;
  }

  #locations(digest: string): SourceLocation[] {
    const source = this.#definition.Source;
    return (source?.locations[digest]?.locations ?? []).flatMap((location) => {
      const info = source?.infos[location.sourceIndex];
      if (info === undefined) return [];
      const { definition, ...file } = info;
      return [{ sourceMap: definition === undefined ? file : { ...file, definition }, ranges: location.ranges }];
    });
  }
}

const emptyMetadata: OpMetadata = {
  ignoreCache: false,
  description: {},
  exportCache: undefined,
  caps: {},
  progressGroup: undefined,
  linuxResources: undefined,
};
