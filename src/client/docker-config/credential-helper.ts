import { execFile } from "node:child_process";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { RegistryLogin } from "./docker-config.ts";

/** A helper answers this user name when the secret is an identity token. */
const tokenUser = "<token>";
const timeoutMs = 60_000;

/**
 * Asks `docker-credential-<name> get` for a login (docker/docker-credential-helpers, protocol in README.md).
 * @returns undefined when the helper has none
 * @throws BuildError Unauthenticated when the helper fails
 */
export async function credentialFromHelper(
  name: string,
  server: string,
  signal?: AbortSignal,
): Promise<RegistryLogin | undefined> {
  const program = `docker-credential-${name}`;
  const options = { timeout: timeoutMs, ...(signal === undefined ? {} : { signal }) };
  const output = await new Promise<string | undefined>((resolve, reject) => {
    const child = execFile(program, ["get"], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = `${stdout}${stderr}`.trim();
      if (/credentials not found|no credentials server URL|no credentials username/i.test(said))
        return resolve(undefined);
      const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "not found on PATH" : said || error.message;
      reject(
        new BuildError(Code.Unauthenticated, `error getting credentials for ${server}: ${program}: ${reason}`, {
          cause: error,
        }),
      );
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(`${server}\n`);
  });
  if (output === undefined) return undefined;
  let answer: { readonly Username?: unknown; readonly Secret?: unknown };
  try {
    answer = JSON.parse(output);
  } catch (error) {
    throw new BuildError(Code.Unauthenticated, `error getting credentials for ${server}: ${program} sent no JSON`, {
      cause: error,
    });
  }
  const username = String(answer.Username ?? "");
  const secret = String(answer.Secret ?? "");
  return username === tokenUser
    ? { username: "", password: "", identityToken: secret, registryToken: "" }
    : { username, password: secret, identityToken: "", registryToken: "" };
}
