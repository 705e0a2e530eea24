import type { SecretEnv } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { RunContext } from "../../../core/seams/op-runner.ts";
import { getSecret, SecretNotFoundError } from "../../../session-services/index.ts";

/** `NAME=value` of each secret; an optional one that is missing is empty, not absent (BuildKit ops/exec.go loadSecretEnv). */
export async function loadSecretEnvironment(
  secrets: readonly SecretEnv[],
  context: Pick<RunContext, "sessions" | "signal">,
): Promise<{ readonly entries: readonly string[]; readonly values: readonly Uint8Array[] }> {
  const entries: string[] = [];
  const values: Uint8Array[] = [];
  for (const { ID, name, optional } of secrets) {
    if (ID === "") {
      throw new BuildError(Code.Unknown, `secret ID missing for ${JSON.stringify(name)} environment variable`);
    }
    let value: Uint8Array = new Uint8Array();
    try {
      value = await getSecret(context.sessions, ID, context.signal);
      values.push(value);
    } catch (error) {
      if (!optional || !(error instanceof SecretNotFoundError)) throw error;
    }
    // The runtime refuses it with the whole of it in its message.
    if (value.includes(0)) throw new BuildError(Code.Unknown, `secret ${ID} for variable ${name} has a NUL byte`);
    entries.push(`${name}=${Buffer.from(value).toString()}`);
  }
  return { entries, values };
}
