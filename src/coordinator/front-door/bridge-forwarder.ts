import type {
  EvaluateRequest,
  EvaluateResponse,
  InputsResponse,
  PongResponse,
  ReadDirRequest,
  ReadDirResponse,
  ReadFileRequest,
  ReadFileResponse,
  ResolveImageConfigRequest,
  ResolveImageConfigResponse,
  ResolveSourceMetaRequest,
  ResolveSourceMetaResponse,
  ReturnRequest,
  SolveRequest,
  SolveResponse,
  StatFileRequest,
  StatFileResponse,
  WarnRequest,
} from "../../api/gen/gateway.ts";
import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BridgeRef, FrontendResult, LlbBridge, SourceMeta } from "../../core/seams/llb-bridge.ts";
import type { Digest } from "../../core/values/digest.ts";
import { statusToError } from "../../grpc/index.ts";
import { BridgeContainers } from "../gateway/bridge-containers.ts";
import { FailureRefs } from "../gateway/failure-refs.ts";
import { platformFromMessage, platformToMessage } from "./platform-messages.ts";
import { resultFromMessage, resultToMessage } from "./result-messages.ts";
import { sourceMetaFromMessage, sourceMetaToMessage } from "./source-meta-messages.ts";

export interface BridgeForwarderOptions {
  readonly bridge: LlbBridge;
  /** Definitions given to the frontend. */
  readonly inputs: Readonly<Record<string, Definition>>;
  readonly frontendCapabilities: readonly string[];
  readonly llbCapabilities: readonly string[];
}

/**
 * One frontend's view of a build over the wire (BuildKit frontend/gateway/gateway.go): turns messages into calls of the
 * LlbBridge, keeps the refs it has handed out, and takes the result. Serves a build client as well as a frontend image.
 */
export class BridgeForwarder {
  /** Containers in which the frontend runs processes. */
  readonly containers: BridgeContainers;
  readonly #bridge: LlbBridge;
  readonly #options: BridgeForwarderOptions;
  readonly #refs = new Map<string, BridgeRef>();
  readonly #failures = new FailureRefs();
  readonly #result = Promise.withResolvers<FrontendResult>();
  #returned = false;

  constructor(options: BridgeForwarderOptions) {
    this.#bridge = options.bridge;
    this.#options = options;
    this.containers = new BridgeContainers({
      bridge: options.bridge,
      ref: (id) => this.#failures.find(id) ?? this.#ref(id),
      platform: platformFromMessage,
    });
    this.#result.promise.catch(() => {});
  }

  /** It has returned a result or an error. */
  get returned(): boolean {
    return this.#returned;
  }

  /** What the frontend returned; rejects with the error it returned. */
  get result(): Promise<FrontendResult> {
    return this.#result.promise;
  }

  ping(): PongResponse {
    const capability = (id: string) => ({
      ID: id,
      Enabled: true,
      Deprecated: false,
      DisabledReason: "",
      DisabledReasonMsg: "",
      DisabledAlternative: "",
    });
    return {
      FrontendAPICaps: this.#options.frontendCapabilities.map(capability),
      LLBCaps: this.#options.llbCapabilities.map(capability),
      Workers: this.#bridge.workers().map((worker) => ({
        ID: worker.id,
        Labels: { ...worker.labels },
        platforms: worker.platforms.map(platformToMessage),
        GCPolicy: [],
        BuildkitVersion: undefined,
        CDIDevices: [],
      })),
    };
  }

  async solve(request: SolveRequest, signal: AbortSignal): Promise<SolveResponse> {
    const result = await this.#telling(() => this.#solve(request, signal));
    if ((result.refs?.size ?? 0) > 0 && !request.allowResultReturn) {
      throw new BuildError(Code.Unknown, "solve did not return default result");
    }
    const message = resultToMessage(result, request.allowResultArrayRef, (ref) => {
      this.#refs.set(ref.id, ref);
      return ref.id;
    });
    if (request.Final) this.#final(result, request.ExporterAttr);
    return { ref: request.allowResultReturn ? "" : (result.ref?.id ?? ""), result: message };
  }

  #solve(request: SolveRequest, signal: AbortSignal): Promise<FrontendResult> {
    return this.#bridge.solve(
      {
        ...(request.Definition === undefined ? {} : { definition: request.Definition }),
        ...(request.Frontend === "" ? {} : { frontend: request.Frontend }),
        frontendOpt: request.FrontendOpt,
        frontendInputs: request.FrontendInputs,
        cacheImports: request.CacheImports.map((entry) => ({ type: entry.Type, attrs: entry.Attrs })),
        evaluate: request.Evaluate,
        sourcePolicies: request.SourcePolicies,
      },
      signal,
    );
  }

  /** Clients from before `Return` mark their last solve; its attributes join the result's metadata. */
  #final(result: FrontendResult, exporterAttr: Uint8Array): void {
    let attrs: Record<string, string>;
    try {
      attrs = JSON.parse(Buffer.from(exporterAttr).toString() || "{}");
    } catch (error) {
      throw new BuildError(Code.InvalidArgument, "invalid exporter attributes", { cause: error });
    }
    const metadata = new Map<string, Uint8Array>();
    // Go marshals []byte as base64.
    for (const [key, value] of Object.entries(attrs)) metadata.set(key, Buffer.from(String(value), "base64"));
    for (const [key, value] of result.metadata) metadata.set(key, value);
    this.#settle(() => this.#result.resolve({ ...result, metadata }));
  }

  async evaluate(request: EvaluateRequest, signal: AbortSignal): Promise<EvaluateResponse> {
    await this.#evaluated(request.Ref, signal);
    return {};
  }

  async readFile(request: ReadFileRequest, signal: AbortSignal): Promise<ReadFileResponse> {
    const range = request.Range && { offset: request.Range.Offset, length: request.Range.Length };
    const ref = await this.#evaluated(request.Ref, signal);
    return { Data: await this.#telling(() => ref.readFile(request.FilePath, range, signal)) };
  }

  async readDir(request: ReadDirRequest, signal: AbortSignal): Promise<ReadDirResponse> {
    const ref = await this.#evaluated(request.Ref, signal);
    const entries = await this.#telling(() => ref.readDir(request.DirPath, request.IncludePattern, signal));
    return { entries: [...entries] };
  }

  async statFile(request: StatFileRequest, signal: AbortSignal): Promise<StatFileResponse> {
    const ref = await this.#evaluated(request.Ref, signal);
    return { stat: await ref.statFile(request.Path, signal) };
  }

  inputs(): InputsResponse {
    return { Definitions: { ...this.#options.inputs } };
  }

  /** Ends the frontend's work with a result or an error; the build itself goes on. */
  return(request: ReturnRequest): void {
    if (request.error !== undefined) {
      const error = statusToError(request.error);
      this.#settle(() => this.#result.reject(error));
      return;
    }
    if (request.result === undefined) {
      throw new BuildError(Code.InvalidArgument, "gateway return must be either result or err");
    }
    const result = resultFromMessage(request.result, (id) => {
      if (id === "") return undefined;
      const ref = this.#refs.get(id);
      if (ref === undefined) throw new BuildError(Code.Unknown, `return reference ${id} not found`);
      return ref;
    });
    this.#settle(() => this.#result.resolve(result));
  }

  warn(request: WarnRequest): void {
    this.#bridge.warn({
      ...(request.digest === "" ? {} : { vertex: request.digest as Digest }),
      level: request.level,
      short: text(request.short),
      detail: request.detail.map(text),
      url: request.url,
      ...(request.info === undefined ? {} : { info: request.info }),
      ranges: request.ranges,
    });
  }

  async resolveSourceMeta(request: ResolveSourceMetaRequest, signal: AbortSignal): Promise<ResolveSourceMetaResponse> {
    const meta = await this.#bridge.resolveSourceMeta(sourceMetaFromMessage(request), signal);
    return sourceMetaToMessage(meta);
  }

  async resolveImageConfig(
    request: ResolveImageConfigRequest,
    signal: AbortSignal,
  ): Promise<ResolveImageConfigResponse> {
    // 1 is an image in an OCI layout on the client (client/llb/sourceresolver/types.go).
    const layout = request.ResolverType === 1;
    const attrs: Record<string, string> = {};
    if (layout && request.SessionID !== "") attrs["oci.session"] = request.SessionID;
    if (layout && request.StoreID !== "") attrs["oci.store"] = request.StoreID;
    let meta: SourceMeta;
    try {
      meta = await this.#bridge.resolveSourceMeta(
        {
          source: { identifier: `${layout ? "oci-layout" : "docker-image"}://${request.Ref}`, attrs },
          ...(request.Platform === undefined ? {} : { platform: platformFromMessage(request.Platform) }),
          ...(request.LogName === "" ? {} : { logName: request.LogName }),
          ...(request.ResolveMode === "" ? {} : { resolveMode: request.ResolveMode }),
          sourcePolicies: request.SourcePolicies,
        },
        signal,
      );
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to resolve source metadata for ${request.Ref}`);
    }
    if (meta.image === undefined) {
      throw new BuildError(
        Code.Unknown,
        `ref mutated by policy to non-image: docker-image://${request.Ref} -> ${meta.source.identifier}`,
      );
    }
    return {
      Digest: meta.image.digest,
      Config: meta.image.config,
      Ref: meta.source.identifier.replace(/^(docker-image|oci-layout):\/\//, ""),
    };
  }

  /** The build is over: refs are dropped, containers end, and a frontend that has not returned never will. */
  async discard(): Promise<void> {
    this.#refs.clear();
    this.#failures.clear();
    this.#settled(() => this.#result.reject(new BuildError(Code.Canceled, "context canceled")));
    await this.containers.discard();
  }

  #settle(settle: () => void): void {
    if (!this.#settled(settle)) throw new BuildError(Code.Unknown, "gateway result is already set");
  }

  #settled(settle: () => void): boolean {
    if (this.#returned) return false;
    this.#returned = true;
    settle();
    return true;
  }

  async #evaluated(id: string, signal: AbortSignal): Promise<BridgeRef> {
    const ref = this.#ref(id);
    await this.#telling(() => ref.evaluate(signal));
    return ref;
  }

  /** Errors name what the failed step left. */
  async #telling<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (error) {
      throw this.#failures.tell(error);
    }
  }

  #ref(id: string): BridgeRef {
    const ref = this.#refs.get(id);
    if (ref === undefined) throw new BuildError(Code.Unknown, `no such ref: ${id}`);
    return ref;
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
