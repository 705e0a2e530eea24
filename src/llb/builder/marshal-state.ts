import { randomBytes } from "node:crypto";
import { Definition, Op, type OpMetadata } from "../../api/gen/ops.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import { hostPlatform, type Platform } from "../../core/values/platform.ts";
import { inputsFirst } from "../../util/inputs-first.ts";
import { atOnce } from "../../util/turns.ts";
import { SourceMapCollector } from "./source-map.ts";
import type { State } from "./state.ts";
import { MarshalContext, type Vertex } from "./vertex.ts";
import { mergeMetadata, sortKeys } from "./vertex-options.ts";

export interface MarshalOptions {
  /** For ops which name no platform; this machine's when absent. */
  readonly platform?: Platform;
  readonly localUniqueId?: string;
}

/**
 * The graph of a state: ops in the order of their inputs, last a pointer op whose input is the wanted output. A scratch
 * state gives an empty definition (BuildKit client/llb/state.go, State.Marshal).
 */
export function marshalState(state: State, options: MarshalOptions = {}): Definition {
  return atOnce(marshalSteps(state, options));
}

/** The same, op by op. */
export function* marshalSteps(state: State, options: MarshalOptions = {}): Generator<void, Definition> {
  const platform = options.platform ?? hostPlatform();
  const context = new MarshalContext(platform, options.localUniqueId ?? randomBytes(16).toString("hex"));
  const root = state.output?.vertex();
  if (root === undefined) return Definition.fromPartial({});

  const def: Uint8Array[] = [];
  const metadata = new Map<Digest, OpMetadata>();
  const sources = new SourceMapCollector();
  for (const vertex of inputsFirst(root, inputsOf)) {
    const marshalled = context.marshal(vertex);
    const known = metadata.get(marshalled.digest);
    metadata.set(marshalled.digest, mergeMetadata(known, marshalled.metadata));
    sources.add(marshalled.digest, marshalled.locations);
    if (known === undefined) def.push(marshalled.bytes);
    yield;
  }

  const inputs = [context.input(state.output)].filter((input) => input !== undefined);
  const pointer = Op.encode({ inputs, platform: undefined, constraints: undefined, op: undefined }).finish();
  metadata.set(sha256(pointer), pointerMetadata([...metadata.values()]));
  return {
    def: [...def, pointer],
    metadata: sortKeys(Object.fromEntries(metadata)),
    Source: sources.toSource(),
  };
}

function inputsOf(vertex: Vertex): readonly Vertex[] {
  return vertex.inputs().flatMap((output) => output.vertex() ?? []);
}

/** The pointer op asks for the capabilities which the definition as a whole needs. */
function pointerMetadata(all: readonly OpMetadata[]): OpMetadata {
  const caps: Record<string, boolean> = { constraints: true };
  if (all.some((metadata) => Object.keys(metadata.description).length > 0)) caps["meta.description"] = true;
  if (all.some((metadata) => metadata.exportCache !== undefined)) caps["meta.exportcache"] = true;
  if (all.some((metadata) => metadata.ignoreCache)) caps["meta.ignorecache"] = true;
  caps["platform"] = true;
  return {
    ignoreCache: false,
    description: {},
    exportCache: undefined,
    caps,
    progressGroup: undefined,
    linuxResources: undefined,
  };
}

/** Digest of the vertex which a definition's pointer op points to; undefined for scratch. */
export function definitionHead(definition: Definition): string | undefined {
  const last = definition.def.at(-1);
  return last === undefined ? undefined : Op.decode(last).inputs[0]?.digest;
}
