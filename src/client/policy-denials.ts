import type { BuildError } from "../core/errors/build-error.ts";

/** Reasons that a policy gave for not allowing a source (BuildKit sourcepolicy/policysession/denyerror.go). */
export function policyDenials(error: BuildError): readonly string[] {
  return error.details.flatMap(({ typeUrl, value }) => {
    if (!typeUrl.endsWith("policysession.DecisionResponse+json")) return [];
    try {
      const { denyMessages = [] } = JSON.parse(new TextDecoder().decode(value)) as {
        readonly denyMessages?: readonly { readonly message?: string }[];
      };
      return denyMessages.flatMap(({ message }) => message || []);
    } catch {
      // An unreadable detail is no reason to lose the error.
      return [];
    }
  });
}
