import { CheckPolicyRequest, CheckPolicyResponse } from "../api/gen/policysession.ts";
import type { SessionCaller } from "../core/seams/session-caller.ts";
import { unaryCall } from "./unary-call.ts";

const method = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy";

/**
 * Asks the client about one source: it decides, or wants to know more of the source first (map b13).
 * @throws BuildError as the client answered; Unavailable when its session is gone
 */
export async function askSourcePolicy(
  caller: SessionCaller,
  request: CheckPolicyRequest,
  signal: AbortSignal,
): Promise<CheckPolicyResponse> {
  return CheckPolicyResponse.decode(
    await unaryCall(caller, method, CheckPolicyRequest.encode(request).finish(), { signal }),
  );
}
