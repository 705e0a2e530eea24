import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

const supported = new Set([
  "moby.buildkit.frontend.inputs",
  "moby.buildkit.frontend.subrequests",
  "moby.buildkit.frontend.contexts",
  "moby.buildkit.frontend.gitquerystring",
]);

/**
 * Checks the capabilities a client asks for (map j2). One marked `+forward` may be missing here if the frontend which the
 * Dockerfile names has it: that error is returned, to be thrown once it is clear that nothing is forwarded.
 *
 * @throws BuildError Unimplemented with a FrontendCap detail
 */
export function checkFrontendCaps(requested: string): BuildError | undefined {
  let pending: BuildError | undefined;
  for (const entry of requested === "" ? [] : requested.split(",")) {
    const name = entry.split("+", 1)[0] ?? "";
    if (supported.has(name)) continue;
    pending = unsupportedFrontendCap(name);
    if (!entry.includes("+forward")) throw pending;
  }
  return pending;
}

export function unsupportedFrontendCap(name: string): BuildError {
  return new BuildError(Code.Unimplemented, `unsupported frontend capability ${name}`, {
    details: [
      {
        typeUrl: "github.com/moby/buildkit/errdefs.FrontendCap+json",
        value: Buffer.from(JSON.stringify({ name })),
      },
    ],
  });
}
