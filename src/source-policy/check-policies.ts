import type { Policy } from "../api/gen/sourcepolicy.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** Before policies are applied. @throws BuildError `invalid nil selector in policy` */
export function checkPolicies(policies: readonly Policy[]): void {
  if (policies.some(({ rules }) => rules.some(({ selector }) => selector === undefined))) {
    throw new BuildError(Code.Unknown, "invalid nil selector in policy");
  }
}
