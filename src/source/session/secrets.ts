import { GetSecretRequest, GetSecretResponse } from "../../api/gen/secrets.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import { unaryCall } from "./session-call.ts";

/** A secret's value from one client, or undefined when it has none by that name (map b8). The value is the caller's to guard. */
export async function readSecret(
  caller: SessionCaller,
  id: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    const request = GetSecretRequest.encode(GetSecretRequest.fromPartial({ ID: id })).finish();
    const answer = await unaryCall(caller, "/moby.buildkit.secrets.v1.Secrets/GetSecret", request, { signal });
    return GetSecretResponse.decode(answer).data;
  } catch (error) {
    if (error instanceof BuildError && (error.code === Code.NotFound || error.code === Code.Unimplemented)) {
      return undefined;
    }
    throw error;
  }
}
