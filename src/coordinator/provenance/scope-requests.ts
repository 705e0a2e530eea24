import type { Definition } from "../../api/gen/ops.ts";
import type { Capture } from "./capture.ts";
import { type InputOrigins, sameRequest } from "./input-origins.ts";
import { type RequestProvenance, requestProvenance } from "./request-provenance.ts";
import { type FrontendRequest, isEmpty, type RequestScope } from "./request-scope.ts";

/** The requests that a result is the answer to. */
export interface ScopeRequests {
  /** What the frontend was asked; absent when the client solved a definition itself. */
  readonly request: RequestProvenance | undefined;
  /** What the client asked, where that is something else. */
  readonly root: RequestProvenance | undefined;
}

/** @param capture what went into the result: says which commit a context was */
export function requestsOf({ request, root }: RequestScope, capture: Capture, origins: InputOrigins): ScopeRequests {
  if (request === undefined) return { request: undefined, root: undefined };
  const asked = withInputs(request, capture, origins);
  if (isEmpty(root)) return { request: asked, root: undefined };
  const first = withInputs(root, capture, origins);
  return { request: asked, root: isBlank(first) || sameRequest(first, asked) ? undefined : first };
}

function withInputs(request: FrontendRequest, capture: Capture, origins: InputOrigins): RequestProvenance {
  const provenance = requestProvenance(request, capture);
  const inputs = inputRequests(request.inputs, origins);
  if (Object.keys(inputs).length === 0) return provenance;
  return { ...provenance, request: { ...provenance.request, inputs } };
}

function inputRequests(
  inputs: Readonly<Record<string, Definition>>,
  origins: InputOrigins,
): Readonly<Record<string, RequestProvenance>> {
  const found = Object.entries(inputs).flatMap(([name, definition]): [string, RequestProvenance][] => {
    const origin = origins.find(definition);
    return origin === undefined ? [] : [[name, origin]];
  });
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isBlank({ request }: RequestProvenance): boolean {
  return request.frontend === undefined && request.args === undefined && request.inputs === undefined;
}
