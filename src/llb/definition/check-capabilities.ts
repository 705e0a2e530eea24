import type { OpMetadata } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { llbCapabilities, missingLlbCapabilities } from "../capabilities.ts";

const supported: ReadonlySet<string> = new Set(llbCapabilities);
const missing: ReadonlySet<string> = new Set(missingLlbCapabilities);

/** @throws BuildError when an op names a feature we do not have, required or not (BuildKit util/apicaps/caps.go) */
export function checkCapabilities(metadata: OpMetadata | undefined): void {
  for (const id of Object.keys(metadata?.caps ?? {})) {
    if (supported.has(id)) continue;
    const message = missing.has(id)
      ? `requested experimental feature ${id}  is not supported by build server`
      : `unknown API capability ${id}`;
    throw new BuildError(Code.Unknown, message);
  }
}
