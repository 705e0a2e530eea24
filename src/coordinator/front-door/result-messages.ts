import type { Attestations, Result } from "../../api/gen/gateway.ts";
import type { BridgeRef, FrontendResult } from "../../core/seams/llb-bridge.ts";

/**
 * A result for a client. Refs travel by id; `register` remembers each for later calls.
 * @param arrays the client knows refs with definitions; older ones get bare ids
 */
export function resultToMessage(result: FrontendResult, arrays: boolean, register: (ref: BridgeRef) => string): Result {
  const metadata = Object.fromEntries([...result.metadata].sort(byKey));
  const attestations: Record<string, Attestations> = {};
  for (const [platform, list] of [...(result.attestations ?? [])].sort(byKey)) {
    attestations[platform] = { attestation: [...list] };
  }
  return { metadata, attestations, result: refsToMessage(result, arrays, register) };
}

function refsToMessage(
  result: FrontendResult,
  arrays: boolean,
  register: (ref: BridgeRef) => string,
): Result["result"] {
  const message = (ref: BridgeRef | undefined) => ({
    id: ref === undefined ? "" : register(ref),
    def: ref?.definition,
  });
  if (result.refs !== undefined) {
    const refs = [...result.refs].sort(byKey).map(([platform, ref]) => [platform, message(ref)] as const);
    return arrays
      ? { $case: "refs", value: { refs: Object.fromEntries(refs) } }
      : {
          $case: "refsDeprecated",
          value: { refs: Object.fromEntries(refs.map(([platform, ref]) => [platform, ref.id])) },
        };
  }
  const ref = message(result.ref);
  return arrays ? { $case: "ref", value: ref } : { $case: "refDeprecated", value: ref.id };
}

/**
 * The reverse. Attestations keep the ids of their refs: those are the bridge's own.
 * @param find ref of an id, undefined for the empty id; throws for unknown ones
 */
export function resultFromMessage(message: Result, find: (id: string) => BridgeRef | undefined): FrontendResult {
  const metadata = new Map(Object.entries(message.metadata));
  const attestations = new Map(
    Object.entries(message.attestations).map(([platform, list]) => [platform, list.attestation]),
  );
  const rest = { metadata, ...(attestations.size === 0 ? {} : { attestations }) };
  const one = (id: string): FrontendResult => {
    const ref = find(id);
    return ref === undefined ? rest : { ...rest, ref };
  };
  switch (message.result?.$case) {
    case "refDeprecated":
      return one(message.result.value);
    case "ref":
      return one(message.result.value.id);
    case "refsDeprecated":
      return { ...rest, refs: new Map(Object.entries(message.result.value.refs).map(([k, id]) => [k, find(id)])) };
    case "refs":
      return { ...rest, refs: new Map(Object.entries(message.result.value.refs).map(([k, ref]) => [k, find(ref.id)])) };
    default:
      return rest;
  }
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
