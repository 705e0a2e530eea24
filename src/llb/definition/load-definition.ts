import type { Definition, Op, OpMetadata, SourceOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { VertexOptions } from "../../core/seams/op.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import { hostPlatform, normalizePlatform, type Platform } from "../../core/values/platform.ts";
import { checkCapabilities } from "./check-capabilities.ts";
import { decodeOp } from "./decode-op.ts";
import { encodeOp } from "./encode-op.ts";
import type { LlbEdge, LlbVertex } from "./llb-payload.ts";
import { opName } from "./op-name.ts";
import { validateOp } from "./validate-op.ts";

export interface LoadDefinitionOptions {
  /** For ops that name none; default: the platform of this machine. */
  readonly defaultPlatform?: Platform;
  /** Source ops as a policy has changed them, by the digest of the op in the definition. Digests above change with them. */
  readonly sources?: ReadonlyMap<Digest, SourceOp>;
  /** Called for each vertex that the build can reach; throws to refuse it, or changes what it asks for (entitlements). */
  readonly check?: (op: Op, metadata: OpMetadata | undefined) => void;
}

interface LoadedOp {
  readonly digest: Digest;
  readonly op: Op;
  readonly bytes: Uint8Array;
  readonly metadata: OpMetadata | undefined;
}

/**
 * The graph of an LLB definition (map c1; BuildKit solver/llbsolver/vertex.go loadLLB). Ops come in any order but the last,
 * which does nothing and points with its first input to the edge that is wanted.
 * @throws BuildError `failed to load LLB: …`
 */
export function loadDefinition(definition: Definition, options: LoadDefinitionOptions = {}): LlbEdge {
  try {
    return load(definition, options);
  } catch (error) {
    throw BuildError.from(error).wrap("failed to load LLB");
  }
}

/** Digest and op of each source in a definition, for policies to look at before it is loaded. */
export function sourceOps(
  definition: Definition,
): { readonly digest: Digest; readonly op: Op; readonly source: SourceOp }[] {
  return definition.def.flatMap((bytes) => {
    const op = decodeOp(bytes);
    return op.op?.$case === "source" ? [{ digest: sha256(bytes), op, source: op.op.value }] : [];
  });
}

function load(definition: Definition, options: LoadDefinitionOptions): LlbEdge {
  const decoded = decodeOps(definition);
  const ops = options.sources === undefined ? decoded.ops : rewriteSources(decoded.ops, options.sources);
  for (const { op } of ops.values()) for (const input of op.inputs) opOf(ops, input.digest);
  if (ops.size < 2) throw invalid(`invalid LLB with ${ops.size} vertexes`);
  const pointer = opOf(ops, decoded.last);
  ops.delete(decoded.last);
  const [wanted] = pointer.op.inputs;
  if (wanted === undefined) throw invalid("invalid LLB with no inputs on last vertex");
  return { vertex: buildVertices(ops, wanted.digest, options), index: wanted.index };
}

/** By digest as written in the definition. */
function decodeOps(definition: Definition): { readonly ops: Map<string, LoadedOp>; readonly last: string } {
  const ops = new Map<string, LoadedOp>();
  let last: string | undefined;
  for (const bytes of definition.def) {
    const op = decodeOp(bytes);
    for (const [i, input] of op.inputs.entries()) {
      if (input.index < 0) throw invalid(`invalid input ${i} output index ${input.index}`);
    }
    const digest = sha256(bytes);
    last = digest;
    ops.set(digest, { digest, op, bytes, metadata: definition.metadata[digest] });
  }
  if (last === undefined) throw invalid("invalid empty definition");
  return { ops, last };
}

/** Puts changed sources in place. Keys stay those of the definition; `digest`, `bytes` and inputs are the new ones. */
function rewriteSources(ops: Map<string, LoadedOp>, sources: ReadonlyMap<Digest, SourceOp>): Map<string, LoadedOp> {
  const rewritten = new Map<string, LoadedOp>();
  for (const [key, loaded] of inputsFirst(ops, [...ops.keys()])) {
    const source = sources.get(loaded.digest);
    const inputs = loaded.op.inputs.map((input) => ({ ...input, digest: opOf(rewritten, input.digest).digest }));
    const unchanged = inputs.every(({ digest }, i) => digest === loaded.op.inputs[i]?.digest);
    if (source === undefined && unchanged) {
      rewritten.set(key, loaded);
      continue;
    }
    const op: Op = { ...loaded.op, inputs };
    if (source !== undefined) op.op = { $case: "source", value: source };
    // Inputs are looked up under the names of the definition; only the bytes carry the new ones.
    rewritten.set(key, { ...encodeOp(op), op: { ...op, inputs: loaded.op.inputs }, metadata: loaded.metadata });
  }
  return rewritten;
}

function buildVertices(ops: ReadonlyMap<string, LoadedOp>, root: string, options: LoadDefinitionOptions): LlbVertex {
  const defaultPlatform = options.defaultPlatform ?? hostPlatform();
  const vertices = new Map<string, LlbVertex>();
  const visit = ({ op, metadata }: LoadedOp) => {
    validateOp(op);
    options.check?.(op, metadata);
    checkCapabilities(metadata);
  };
  for (const [key, { digest, op, bytes, metadata }] of inputsFirst(ops, [root], visit)) {
    const inputs = op.inputs.map((input) => ({ vertex: vertexOf(vertices, input.digest), index: input.index }));
    const described = metadata?.description["llb.customname"];
    vertices.set(key, {
      digest,
      name:
        described ??
        opName(
          op,
          inputs.map(({ vertex }) => vertex.name),
        ),
      inputs,
      options: vertexOptions(metadata),
      payload: {
        op: { ...op, inputs: inputs.map(({ vertex, index }) => ({ digest: vertex.digest, index })) },
        bytes,
        platform: platformOf(op, defaultPlatform),
        ...(key === digest ? {} : { definedAs: key as Digest }),
        ...(metadata?.linuxResources === undefined ? {} : { linuxResources: metadata.linuxResources }),
      },
    });
  }
  return vertexOf(vertices, root);
}

/** Each op once, after its inputs; `visit` sees it before them. Not recursive: chains may be long. */
function* inputsFirst(
  ops: ReadonlyMap<string, LoadedOp>,
  roots: readonly string[],
  visit?: (op: LoadedOp) => void,
): Generator<readonly [key: string, op: LoadedOp]> {
  const seen = new Set<string>();
  const open = [...roots].reverse().map((key) => ({ key, ready: false }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const loaded = opOf(ops, next.key);
    if (next.ready) {
      yield [next.key, loaded];
      continue;
    }
    if (seen.has(next.key)) continue;
    seen.add(next.key);
    visit?.(loaded);
    open.push({ key: next.key, ready: true });
    for (const input of [...loaded.op.inputs].reverse()) open.push({ key: input.digest, ready: false });
  }
}

function vertexOptions(metadata: OpMetadata | undefined): VertexOptions {
  const { progressGroup, exportCache } = metadata ?? {};
  return {
    ignoreCache: metadata?.ignoreCache ?? false,
    description: metadata?.description ?? {},
    ...(progressGroup === undefined ? {} : { progressGroup }),
    ...(exportCache === undefined ? {} : { exportCache: exportCache.Value }),
  };
}

function platformOf({ platform }: Op, defaultPlatform: Platform): Platform {
  if (platform === undefined) return defaultPlatform;
  return normalizePlatform({
    os: platform.OS,
    architecture: platform.Architecture,
    variant: platform.Variant,
    osVersion: platform.OSVersion,
    osFeatures: platform.OSFeatures,
  });
}

function opOf(ops: ReadonlyMap<string, LoadedOp>, key: string): LoadedOp {
  const loaded = ops.get(key);
  if (loaded === undefined) throw invalid(`invalid missing input digest ${key}`);
  return loaded;
}

function vertexOf(vertices: ReadonlyMap<string, LlbVertex>, key: string): LlbVertex {
  const vertex = vertices.get(key);
  if (vertex === undefined) throw invalid(`invalid missing input digest ${key}`);
  return vertex;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
