import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import { describeRequest, outlineRequest, subrequestResult, targetsRequest } from "./request.ts";
import { textTable } from "./text-table.ts";

/** `frontend.subrequests.describe`. BuildKit leaves lint and convertllb out of the list, and so do we. */
export function describeSubrequests(): FrontendResult {
  const known = [outlineRequest, targetsRequest, describeRequest];
  const json = known.map(({ name, version, description, opts, metadata }) => ({
    name,
    version,
    type: "rpc",
    description,
    opts,
    inputs: null,
    metadata: metadata.map((key) => ({ name: key, description: "" })),
    refs: null,
  }));
  const rows = known.map(({ name, version, description }) => [name.replace(/^frontend\./, ""), version, description]);
  const text = textTable([["NAME", "VERSION", "DESCRIPTION"], ...rows], 1);
  return subrequestResult(describeRequest, json, { "result.txt": text });
}
