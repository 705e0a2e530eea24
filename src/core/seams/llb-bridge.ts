import type { Stat } from "../../api/gen/fsutil.ts";
import type { Attestation } from "../../api/gen/gateway.ts";
import type { Definition, Range, SourceInfo, SourceOp } from "../../api/gen/ops.ts";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import type { AttestationChain } from "../values/attestation-chain.ts";
import type { ChecksumRequest } from "../values/checksum-request.ts";
import type { Digest } from "../values/digest.ts";
import type { Ref } from "../values/layer.ts";
import type { Platform } from "../values/platform.ts";
import type { ContainerRequest, GatewayContainer } from "./gateway-container.ts";

/** What a frontend may ask of the build it serves (BuildKit frontend.FrontendLLBBridge). Refs live until the build ends. */
export interface LlbBridge {
  /** Lazy: nothing runs until a ref of the result is evaluated or read, unless `evaluate` is set. */
  solve(request: BridgeSolveRequest, signal: AbortSignal): Promise<FrontendResult>;
  /** Immutable identity and metadata of a source; image configs come from here. Shows as a vertex named `logName`. */
  resolveSourceMeta(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta>;
  warn(warning: BridgeWarning): void;
  /** Makes what its mounts need and resolves when processes can start. */
  newContainer(request: ContainerRequest, signal: AbortSignal): Promise<GatewayContainer>;
  /** A vertex of this name that shows what is written to it; it appears with the first byte and ends with `end`. */
  log(name: string): BridgeLog;
  /** Workers that could run steps now, native platform first. */
  workers(): readonly {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly Platform[];
  }[];
  /** Ids of the build's client sessions; the first is the client's own. */
  readonly sessionIds: readonly string[];
}

export interface BridgeSolveRequest {
  readonly definition?: Definition;
  readonly frontend?: string;
  readonly frontendOpt?: Readonly<Record<string, string>>;
  readonly frontendInputs?: Readonly<Record<string, Definition>>;
  readonly cacheImports?: readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[];
  readonly evaluate?: boolean;
  readonly sourcePolicies?: readonly Policy[];
}

/** A result: one ref (absent = scratch) or several by platform id. */
export interface FrontendResult {
  readonly ref?: BridgeRef;
  readonly refs?: ReadonlyMap<string, BridgeRef | undefined>;
  /** Exporter metadata, `containerimage.config`, `refs.platforms` … (map f11). */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  readonly attestations?: ReadonlyMap<string, readonly Attestation[]>;
}

export interface BridgeRef {
  readonly id: string;
  readonly definition: Definition;
  /** Runs what is needed; later calls answer at once. */
  evaluate(signal: AbortSignal): Promise<Ref>;
  readFile(
    path: string,
    range: { readonly offset: number; readonly length: number } | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  readDir(path: string, includePattern: string, signal: AbortSignal): Promise<readonly Stat[]>;
  statFile(path: string, signal: AbortSignal): Promise<Stat>;
}

export interface SourceMetaRequest {
  readonly source: SourceOp;
  readonly platform?: Platform;
  readonly logName?: string;
  /** default | pull | local */
  readonly resolveMode?: string;
  readonly sourcePolicies?: readonly Policy[];
  readonly image?: {
    readonly noConfig: boolean;
    /** Also what speaks for the image, with statements of these predicate types. */
    readonly attestations?: { readonly predicateTypes: readonly string[] };
  };
  readonly git?: { readonly returnObject: boolean };
  readonly http?: { readonly checksum: ChecksumRequest };
}

export interface SourceMeta {
  /** The source after policies. */
  readonly source: SourceOp;
  readonly image?: {
    readonly digest: Digest;
    readonly config: Uint8Array;
    readonly attestationChain?: AttestationChain;
  };
  readonly git?: {
    readonly checksum: string;
    readonly ref: string;
    readonly commitChecksum: string;
    readonly commitObject?: Uint8Array;
    readonly tagObject?: Uint8Array;
  };
  readonly http?: {
    readonly checksum: Digest;
    readonly filename: string;
    readonly lastModified?: number;
    /** Answer to the request's; any algorithm. */
    readonly requested?: { readonly digest: string; readonly suffix: Uint8Array };
  };
}

export interface BridgeLog {
  write(stream: 1 | 2, data: Uint8Array): void;
  end(error?: Error): void;
}

export interface BridgeWarning {
  readonly vertex?: Digest;
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly info?: SourceInfo;
  readonly ranges?: readonly Range[];
}
