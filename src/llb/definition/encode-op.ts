import { type Definition, Op, OpMetadata, type Source } from "../../api/gen/ops.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";

export interface EncodedOp {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** Marshals an op as Go does with deterministic output: maps in order of their keys. The digest is the vertex digest. */
export function encodeOp(op: Op): EncodedOp {
  const bytes = Op.encode({ ...op, op: sortedMaps(op.op) }).finish();
  return { digest: sha256(bytes), bytes };
}

export interface DefinitionParts {
  /** In any order, each with all its inputs in the list. */
  readonly ops: readonly (EncodedOp & { readonly metadata?: Partial<OpMetadata> })[];
  /** What the definition stands for. */
  readonly wanted: { readonly digest: Digest; readonly index: number };
  /** Of the pointer op; clients put `caps` there. */
  readonly pointerMetadata?: Partial<OpMetadata>;
  readonly source?: Source;
}

/** A definition from marshalled ops; adds the op that points to what is wanted. */
export function assembleDefinition(parts: DefinitionParts): Definition {
  const pointer = encodeOp(Op.fromPartial({ inputs: [parts.wanted] }));
  const ops = [...parts.ops, { ...pointer, metadata: parts.pointerMetadata ?? {} }];
  const metadata = Object.fromEntries(ops.map((op) => [op.digest, encodedMetadata(op.metadata ?? {})]));
  return {
    def: ops.map(({ bytes }) => bytes),
    metadata: sorted(metadata),
    Source: parts.source && sortedSource(parts.source),
  };
}

function encodedMetadata(metadata: Partial<OpMetadata>): OpMetadata {
  const full = OpMetadata.fromPartial(metadata);
  return { ...full, description: sorted(full.description), caps: sorted(full.caps) };
}

function sortedMaps(op: Op["op"]): Op["op"] {
  if (op?.$case === "source") return { ...op, value: { ...op.value, attrs: sorted(op.value.attrs) } };
  if (op?.$case === "build") {
    return { ...op, value: { ...op.value, attrs: sorted(op.value.attrs), inputs: sorted(op.value.inputs) } };
  }
  return op;
}

function sortedSource(source: Source): Source {
  return { ...source, locations: sorted(source.locations) };
}

function sorted<V>(map: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
}
