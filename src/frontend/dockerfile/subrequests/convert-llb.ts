import { type Definition, Op } from "../../../api/gen/ops.ts";
import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import { sha256 } from "../../../core/values/digest.ts";
import { metadataJson, protoJson } from "./pb-json.ts";
import { convertLlbRequest, subrequestResult } from "./request.ts";

/** `frontend.convertllb`: the definition as JSON, ops by digest. */
export function convertLlbResult(definition: Definition): FrontendResult {
  const ops = definition.def.map((bytes): [string, object] => [sha256(bytes), protoJson(Op.decode(bytes))]);
  return subrequestResult(convertLlbRequest, {
    def: Object.fromEntries(ops.sort(([a], [b]) => (a < b ? -1 : 1))),
    metadata: Object.fromEntries(Object.entries(definition.metadata).map(([key, value]) => [key, metadataJson(value)])),
    source: protoJson(definition.Source ?? {}),
  });
}
