import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import { goJson } from "../../../util/go-json.ts";

interface Named {
  readonly name: string;
  readonly description: string;
}

/** A kind of question a client may ask in place of a build (map e19, e26). */
export interface SubrequestDefinition {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly opts: readonly Named[] | null;
  readonly metadata: readonly string[];
}

export const describeRequest: SubrequestDefinition = {
  name: "frontend.subrequests.describe",
  version: "1.0.0",
  description: "List available subrequest types",
  opts: null,
  metadata: ["result.json", "result.txt"],
};

export const outlineRequest: SubrequestDefinition = {
  name: "frontend.outline",
  version: "1.0.0",
  description: "List all parameters current build target supports",
  opts: [{ name: "target", description: "Target build stage" }],
  metadata: ["result.json", "result.txt"],
};

export const targetsRequest: SubrequestDefinition = {
  name: "frontend.targets",
  version: "1.0.0",
  description: "List all targets current build supports",
  opts: [],
  metadata: ["result.json", "result.txt"],
};

export const lintRequest: SubrequestDefinition = {
  name: "frontend.lint",
  version: "1.0.0",
  description: "Lint a Dockerfile",
  opts: [],
  metadata: ["result.json", "result.txt", "result.statuscode"],
};

export const convertLlbRequest: SubrequestDefinition = {
  name: "frontend.convertllb",
  version: "0.1.0",
  description: "Convert Dockerfile to LLB",
  opts: [],
  metadata: ["result.json"],
};

/** The answer to a subrequest: no ref, only metadata. */
export function subrequestResult(
  definition: SubrequestDefinition,
  json: unknown,
  more: Readonly<Record<string, string>> = {},
): FrontendResult {
  const texts = { "result.json": goJson(json, "  "), ...more, version: definition.version };
  const encoder = new TextEncoder();
  return { metadata: new Map(Object.entries(texts).map(([key, text]) => [key, encoder.encode(text)])) };
}
