import { GetSecretRequest, GetSecretResponse } from "../api/gen/secrets.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import { unaryCall } from "./unary-call.ts";

const method = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

/** No session of the build has the secret. Steps for which it is optional go on without. */
export class SecretNotFoundError extends BuildError {
  constructor(id: string, cause: unknown) {
    super(Code.Unknown, `secret ${id}: not found`, { cause });
  }
}

/**
 * A secret's value from the first session which has it (BuildKit session/secrets/secrets.go). The caller keeps it in memory or
 * on tmpfs only, and for no longer than the step runs.
 * @throws SecretNotFoundError, or BuildError of the session
 */
export async function getSecret(sessions: SessionGroup, id: string, signal: AbortSignal): Promise<Uint8Array> {
  const request = GetSecretRequest.encode(GetSecretRequest.fromPartial({ ID: id })).finish();
  return sessions.any(
    async (caller) => {
      try {
        return GetSecretResponse.decode(await unaryCall(caller, method, request, { signal })).data;
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        if (error.code === Code.NotFound || error.code === Code.Unimplemented) throw new SecretNotFoundError(id, error);
        throw error;
      }
    },
    { signal },
  );
}
