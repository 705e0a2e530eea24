import { HealthCheckRequest, HealthCheckResponse } from "../api/gen/health.ts";
import type { BuildError } from "../core/errors/build-error.ts";
import type { SessionCaller, SessionCallOptions, SessionStream } from "../core/seams/session-caller.ts";
import type { GrpcClient } from "../grpc/index.ts";
import type { SessionIdentity } from "./session-headers.ts";

/** Calls a client through the tunnel it opened to this process. */
export class TunnelSessionCaller implements SessionCaller {
  readonly identity: SessionIdentity;
  readonly #client: GrpcClient;

  constructor(identity: SessionIdentity, client: GrpcClient) {
    this.identity = identity;
    this.#client = client;
  }

  get id(): string {
    return this.identity.id;
  }

  get sharedKey(): string {
    return this.identity.sharedKey;
  }

  supports(method: string): boolean {
    return this.identity.methods.has(method.toLowerCase());
  }

  open(method: string, options: SessionCallOptions = {}): SessionStream {
    return this.#client.open(method, options);
  }

  /** One round trip to the client's health service. @throws BuildError */
  async checkHealth(signal: AbortSignal): Promise<void> {
    const request = HealthCheckRequest.fromPartial({});
    await this.#client.unary("/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse, request, {
      signal,
    });
  }

  /** Ends the session: its open calls fail with `reason`. */
  close(reason: BuildError): void {
    this.#client.destroy(reason);
  }
}
