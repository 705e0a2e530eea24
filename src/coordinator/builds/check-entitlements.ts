import type { Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { requiredDevices, requiredEntitlements } from "../../llb/definition/index.ts";

/** @param granted entitlements. @throws BuildError `network.host is not allowed` */
export function checkEntitlements(op: Op, granted: ReadonlySet<string>): void {
  for (const entitlement of requiredEntitlements(op)) {
    if (!granted.has(entitlement)) throw new BuildError(Code.Unknown, `${entitlement} is not allowed`);
  }
  // No agent offers devices yet.
  const [device] = requiredDevices(op);
  if (device !== undefined) {
    throw new BuildError(Code.Unknown, `required device ${JSON.stringify(device)} is not registered`);
  }
}
