import {
  BuildHistoryEvent,
  BuildHistoryRequest,
  DiskUsageRequest,
  DiskUsageResponse,
  InfoRequest,
  InfoResponse,
  ListWorkersRequest,
  ListWorkersResponse,
  PruneRequest,
  SolveRequest,
  SolveResponse,
  StatusRequest,
  StatusResponse,
  UpdateBuildHistoryRequest,
  UpdateBuildHistoryResponse,
  UsageRecord,
} from "../api/gen/control.ts";
import {
  SolveRequest as BridgeSolveRequest,
  SolveResponse as BridgeSolveResponse,
  PingRequest,
  PongResponse,
  ReturnRequest,
  ReturnResponse,
} from "../api/gen/gateway.ts";
import type { BuildkitVersion, WorkerRecord } from "../api/gen/worker.ts";
import { type ClientCall, decodeMessage, type GrpcClient, type MessageCodec } from "../grpc/index.ts";

const control = "/moby.buildkit.v1.Control";
const bridge = "/moby.buildkit.v1.frontend.LLBBridge";

import { decodeRead, encodeBlobRequest } from "./content/content-messages.ts";

/** The daemon's API, typed. Every method throws the BuildError that the daemon sent. */
export class ControlClient {
  readonly #client: GrpcClient;

  /** @param client stays the caller's */
  constructor(client: GrpcClient) {
    this.#client = client;
  }

  /** Ends with the build and everything exported. */
  async solve(request: SolveRequest, signal: AbortSignal): Promise<SolveResponse> {
    return this.#client.unary(`${control}/Solve`, SolveRequest, SolveResponse, request, { signal });
  }

  /** Progress of a build, until it is over. */
  async *status(ref: string, signal: AbortSignal): AsyncGenerator<StatusResponse, void, undefined> {
    yield* this.#stream(`${control}/Status`, StatusRequest, StatusResponse, { Ref: ref }, signal);
  }

  /** Opens the byte tunnel in which the daemon is the client. */
  openSession(metadata: Readonly<Record<string, readonly string[]>>, signal: AbortSignal): ClientCall {
    return this.#client.open(`${control}/Session`, { metadata, signal });
  }

  async workers(filter: readonly string[], signal: AbortSignal): Promise<readonly WorkerRecord[]> {
    const request = { filter: [...filter] };
    const path = `${control}/ListWorkers`;
    return (await this.#client.unary(path, ListWorkersRequest, ListWorkersResponse, request, { signal })).record;
  }

  async info(signal: AbortSignal): Promise<BuildkitVersion | undefined> {
    return (await this.#client.unary(`${control}/Info`, InfoRequest, InfoResponse, {}, { signal })).buildkitVersion;
  }

  async diskUsage(filter: readonly string[], signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const request = DiskUsageRequest.fromPartial({ filter: [...filter] });
    const path = `${control}/DiskUsage`;
    return (await this.#client.unary(path, DiskUsageRequest, DiskUsageResponse, request, { signal })).record;
  }

  /** Yields each record once it is gone. */
  async *prune(request: PruneRequest, signal: AbortSignal): AsyncGenerator<UsageRecord, void, undefined> {
    yield* this.#stream(`${control}/Prune`, PruneRequest, UsageRecord, request, signal);
  }

  /** Records of builds, in the server's order; without `EarlyExit` it goes on with those to come. */
  async *history(
    request: Partial<BuildHistoryRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<BuildHistoryEvent, void, undefined> {
    const message = BuildHistoryRequest.fromPartial(request);
    yield* this.#stream(`${control}/ListenBuildHistory`, BuildHistoryRequest, BuildHistoryEvent, message, signal);
  }

  /** Pins, unpins, finalizes or deletes the record of a build. */
  async updateHistory(request: Partial<UpdateBuildHistoryRequest>, signal: AbortSignal): Promise<void> {
    const message = UpdateBuildHistoryRequest.fromPartial(request);
    const path = `${control}/UpdateBuildHistory`;
    await this.#client.unary(path, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse, message, { signal });
  }

  /** A blob that a record names. @throws BuildError NotFound */
  async *content(digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    await using call = this.#client.open("/containerd.services.content.v1.Content/Read", { signal });
    call.send(encodeBlobRequest(digest)).catch(() => {});
    call.closeSend();
    for await (const bytes of call.messages) yield decodeRead(bytes);
  }

  /** The bridge of one build. @param ref the build's, as given to `solve` */
  bridge(ref: string): BridgeClient {
    return new BridgeClient(this.#client, ref);
  }

  async *#stream<Req, Res>(
    method: string,
    request: MessageCodec<Req>,
    response: MessageCodec<Res>,
    message: Req,
    signal: AbortSignal,
  ): AsyncGenerator<Res, void, undefined> {
    await using call = this.#client.open(method, { signal });
    call.send(request.encode(message).finish()).catch(() => {});
    call.closeSend();
    for await (const bytes of call.messages) yield decodeMessage(response, bytes);
  }
}

/** LLBBridge calls on behalf of one build (map a16): the client decides what is solved, the daemon waits for `return`. */
export class BridgeClient {
  readonly #client: GrpcClient;
  readonly #metadata: Readonly<Record<string, readonly string[]>>;

  constructor(client: GrpcClient, ref: string) {
    this.#client = client;
    this.#metadata = { "buildkit-controlapi-buildid": [ref] };
  }

  async solve(request: BridgeSolveRequest, signal: AbortSignal): Promise<BridgeSolveResponse> {
    const options = { signal, metadata: this.#metadata };
    return this.#client.unary(`${bridge}/Solve`, BridgeSolveRequest, BridgeSolveResponse, request, options);
  }

  /** Resolves once the build runs. */
  async ping(signal: AbortSignal): Promise<void> {
    await this.#client.unary(`${bridge}/Ping`, PingRequest, PongResponse, {}, { signal, metadata: this.#metadata });
  }

  async return(request: ReturnRequest, signal: AbortSignal): Promise<void> {
    const options = { signal, metadata: this.#metadata };
    await this.#client.unary(`${bridge}/Return`, ReturnRequest, ReturnResponse, request, options);
  }
}
