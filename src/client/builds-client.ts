import { ExplainRequest, ExplainResponse } from "../api/gen/buildfleet.ts";
import type { GrpcClient } from "../grpc/index.ts";

/** What Buildfleet's own API tells of builds. Every method throws the BuildError that the daemon sent. */
export class BuildsClient {
  readonly #client: GrpcClient;

  /** @param client stays the caller's */
  constructor(client: GrpcClient) {
    this.#client = client;
  }

  async explain(request: ExplainRequest, signal: AbortSignal): Promise<ExplainResponse> {
    return this.#client.unary("/buildfleet.v1.Builds/Explain", ExplainRequest, ExplainResponse, request, { signal });
  }
}
