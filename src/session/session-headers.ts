import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** What a client says of itself in the metadata of `Control.Session` (BuildKit session/session.go, map b1). */
export interface SessionIdentity {
  readonly id: string;
  readonly name: string;
  readonly sharedKey: string;
  /** Lower-case `/service/method`. */
  readonly methods: ReadonlySet<string>;
  readonly health: HealthPolicy;
}

/** When a silent client counts as gone (map b2). */
export interface HealthPolicy {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed checks in a row that end the session. */
  readonly failures: number;
}

export const defaultHealthPolicy: HealthPolicy = { intervalMs: 5000, timeoutMs: 15_000, failures: 2 };

/** @throws BuildError InvalidArgument when the id is missing */
export function sessionIdentity(metadata: Readonly<Record<string, readonly string[]>>): SessionIdentity {
  const first = (key: string) => metadata[key]?.[0] ?? "";
  const id = first("x-docker-expose-session-uuid");
  if (id === "") throw new BuildError(Code.InvalidArgument, "session id is missing");
  const methods = new Set<string>();
  for (const value of metadata["x-docker-expose-session-grpc-method"] ?? []) {
    // Proxies may join the repeated header into one.
    for (const method of value.split(",")) methods.add(method.trim().toLowerCase());
  }
  const customMs = Number.parseInt(first("x-buildkit-session-health-custom-timeout"), 10);
  const patience = Math.max(customMs, 1000);
  return {
    id,
    name: first("x-docker-expose-session-name"),
    sharedKey: first("x-docker-expose-session-sharedkey"),
    methods,
    health: customMs > 0 ? { intervalMs: patience, timeoutMs: patience, failures: 1 } : defaultHealthPolicy,
  };
}
