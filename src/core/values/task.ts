import type { CacheMountInfo, CacheMountUse, PublishedCacheMount } from "./cache-mount.ts";
import type { ChecksumRequest } from "./checksum-request.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { LayerId, LayerInfo, Ref } from "./layer.ts";
import type { Platform } from "./platform.ts";
import type { Resources } from "./resources.ts";

/**
 * Work for one agent. The body says what; the envelope (`Task`) says for whom, under which lease, and where inputs are.
 * Everything here is packed with msgpackr: plain objects, arrays, strings, numbers, booleans, Uint8Array. Never a secret.
 */
export interface Task<K extends TaskKind = TaskKind> {
  readonly id: string;
  /** Fence: a result under another lease id is refused. */
  readonly leaseId: string;
  readonly kind: K;
  readonly body: TaskBody<K>;
  /** What the coordinator knows of every layer the body names. */
  readonly layers: readonly LayerInfo[];
  /** What the coordinator knows of every cache mount the body names. */
  readonly cacheMounts: readonly CacheMountInfo[];
  /** Blob server of each holder named in `layers` and `cacheMounts`. */
  readonly peers: Readonly<Record<string, string>>;
  /** Sessions of the builds that want the result; reached through the coordinator. */
  readonly sessionIds: readonly string[];
  /** AgentLink address (`host:port`) of the coordinator which owns those sessions; its id for heartbeats; the token that opens the sessions. */
  readonly coordinator: { readonly id: string; readonly address: string; readonly token: string };
  /** What it is expected to need while it runs. */
  readonly demand: Resources;
  /** Names the step: a run of it for another coordinator will do as well (ADR-0021). Absent for what is not shared. */
  readonly step?: string;
  /** Only a run of the step that is there already will do: it may have ended since the agent was heard. */
  readonly joins?: boolean;
  /** W3C traceparent. */
  readonly traceparent?: string;
}

export type TaskKind = keyof TaskTable;
export type TaskBody<K extends TaskKind> = TaskTable[K]["body"];
export type TaskResult<K extends TaskKind> = TaskTable[K]["result"];

/** kind → what goes in and what comes out. `layers` of a result are new layers, or known ones which gained a blob or diffId. */
export interface TaskTable {
  /** One ExecOp. */
  exec: {
    body: {
      /** Marshalled pb.Op with an exec. */
      readonly op: Uint8Array;
      /** By index of pb.Op.inputs. */
      readonly inputs: readonly Ref[];
      readonly platform: Platform;
      readonly resources?: import("../seams/executor.ts").LinuxResources;
      /** Entitlements granted to every build that wants this step, e.g. `network.host`. */
      readonly entitlements: readonly string[];
      readonly cacheMounts: readonly CacheMountUse[];
      /** Names of devices of the agent; absent = none. */
      readonly devices?: readonly string[];
      readonly description: string;
    };
    result: OutputsResult & {
      readonly usage: import("../seams/executor.ts").ExecUsage;
      /** Versions which the step has left behind on its agent. */
      readonly cacheMounts: readonly PublishedCacheMount[];
    };
  };
  /** One FileOp. */
  file: {
    body: {
      readonly op: Uint8Array;
      readonly inputs: readonly Ref[];
      readonly platform: Platform;
      readonly description: string;
    };
    result: OutputsResult;
  };
  /** DiffOp when `lower` is no prefix of `upper`. */
  diff: { body: { readonly lower: Ref; readonly upper: Ref; readonly description: string }; result: OutputsResult };
  /** Immutable identity of a git or http source (images are resolved on the coordinator). */
  "source.resolve": {
    body: {
      readonly source: Uint8Array;
      readonly platform: Platform;
      /** git: also answer the raw objects, as base64 details `commitObject` and `tagObject`. */
      readonly gitObjects?: boolean;
      /** http: also answer this digest, as detail `checksum`. */
      readonly checksum?: ChecksumRequest;
      /** What the same origin is known to be in this build: it is not asked again. */
      readonly known?: ResolvedSource;
    };
    result: ResolvedSource;
  };
  /** Fetches a resolved source into a layer. */
  "source.fetch": {
    body: {
      readonly source: Uint8Array;
      readonly platform: Platform;
      readonly resolved?: ResolvedSource;
      readonly description: string;
      /** For git; absent = the current one. */
      readonly compatibilityVersion?: number;
    };
    result: OutputsResult;
  };
  /** Content digest of parts of a ref (map d17–d20). */
  checksum: {
    body: { readonly ref: Ref; readonly selectors: readonly ContentSelector[] };
    result: { readonly digest: Digest };
  };
  /** Cuts layers into blobs of one compression; what exists already is answered from the store. */
  pack: {
    body: { readonly layers: readonly LayerId[]; readonly compression: Compression };
    result: { readonly layers: readonly LayerInfo[]; readonly descriptors: readonly Descriptor[] };
  };
  /** Pushes blobs which this agent holds or can fetch. */
  push: {
    body: { readonly target: PushTarget; readonly blobs: readonly LayerBlob[] };
    result: { readonly pushed: number; readonly skipped: number; readonly bytes: number };
  };
  /** Streams a tar of blobs and inline files to the client (oci, docker exporters). */
  "export.archive": {
    body: {
      readonly sessionId: string;
      /** exporter index, `buildkit-attachable-exporter-id`. */
      readonly exporterId: number;
      /** `exporter-md-*` values. */
      readonly metadata: Readonly<Record<string, string>>;
      readonly entries: readonly ArchiveEntry[];
    };
    result: { readonly bytes: number };
  };
  /** Sends the files of refs to a client directory (fsutil) or as a tar stream (local, tar exporters). */
  "export.files": {
    body: {
      readonly sessionId: string;
      readonly exporterId: number;
      readonly metadata: Readonly<Record<string, string>>;
      readonly form: "directory" | "tar";
      readonly multiPlatform: boolean;
      readonly roots: readonly ExportRoot[];
      /** Clamp of mtimes, Unix seconds. */
      readonly epoch?: number;
    };
    result: { readonly bytes: number; readonly files: number };
  };
  /** Puts blobs, then documents, into a content store which the client offers (local cache export, oci without tar). */
  "export.content": {
    body: {
      readonly sessionId: string;
      readonly storeId: string;
      readonly blobs: readonly LayerBlob[];
      /** What refers to others comes last. */
      readonly documents?: readonly { readonly descriptor: Descriptor; readonly data: Uint8Array }[];
    };
    result: { readonly written: number; readonly skipped: number; readonly bytes: number };
  };
  /** ReadFile, ReadDir, StatFile of the gateway. Answers larger than a bus message arrive as `chunk` events. */
  read: {
    body:
      | {
          readonly op: "file";
          readonly ref: Ref;
          readonly path: string;
          readonly offset: number;
          readonly length: number;
        }
      | { readonly op: "dir"; readonly ref: Ref; readonly path: string; readonly includePattern: string }
      | { readonly op: "stat"; readonly ref: Ref; readonly path: string };
    /** file: the bytes. dir: concatenated length-delimited fsutil Stats in a ReadDirResponse. stat: a marshalled fsutil Stat. */
    result: { readonly data: Uint8Array };
  };
  /** Mounts and processes for a frontend; lasts until its control channel ends (core/values/container-messages.ts). */
  container: {
    body: {
      /** Marshalled pb.Mounts; `input` is an index into `inputs`. */
      readonly mounts: readonly Uint8Array[];
      readonly inputs: readonly Ref[];
      readonly platform?: Platform;
      readonly network: "sandbox" | "host" | "none";
      readonly hostname: string;
      readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
      readonly files: readonly import("../seams/gateway-container.ts").ContainerFile[];
      /** Entitlements of the build. */
      readonly entitlements: readonly string[];
      readonly cacheMounts: readonly CacheMountUse[];
    };
    result: Readonly<Record<string, never>>;
  };
  /** Regular files of a ref, in the order of a transfer: what attestations speak of. */
  "list.files": {
    body: {
      readonly ref: Ref;
      /** Also hash each file. */
      readonly digests: boolean;
    };
    result: { readonly files: readonly { readonly path: string; readonly digest?: Digest }[] };
  };
  /** Makes layers present on the agent (unlazy), and the newest versions of cache mounts. */
  materialize: {
    body: { readonly ref: Ref; readonly cacheMounts?: readonly CacheMountUse[] };
    /** Copies that are there now. */
    result: OutputsResult & { readonly cacheMounts?: readonly PublishedCacheMount[] };
  };
}

export interface OutputsResult {
  /** By output index. */
  readonly outputs: readonly Ref[];
  readonly layers: readonly LayerInfo[];
}

/** One part of a filesystem to digest (contenthash ChecksumOpts). */
export interface ContentSelector {
  readonly path: string;
  readonly wildcard: boolean;
  readonly followLinks: boolean;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly requiredPaths?: readonly string[];
}

export interface ResolvedSource {
  /** The `k` of map d16, before the `buildkit.source.v0:` prefix. */
  readonly cacheKey: string;
  /** Immutable identity for provenance: commit sha, content digest. */
  readonly pin: string;
  /** git: resolved ref, commit and tag objects; http: filename, last-modified, etag … */
  readonly details: Readonly<Record<string, string>>;
}

export type CompressionType = "uncompressed" | "gzip" | "zstd" | "estargz";

export interface Compression {
  readonly type: CompressionType;
  readonly level?: number;
  /** Also convert layers that already have a blob of another compression. */
  readonly force: boolean;
  readonly ociMediaTypes: boolean;
  /** rewrite-timestamp: clamp mtimes to this (Unix seconds) while packing. */
  readonly rewriteTimestamp?: number;
}

export interface PushTarget {
  /** Repository with host, `localhost:5000/app`. */
  readonly repository: string;
  readonly insecure: boolean;
  readonly sessionIds: readonly string[];
}

export interface LayerBlob {
  readonly layer?: LayerId;
  readonly descriptor: Descriptor;
  /** How it was cut from its layer: whoever has that can cut it again. Absent for what came as this blob. */
  readonly compression?: Compression;
}

export type ArchiveEntry =
  | { readonly path: string; readonly data: Uint8Array }
  | { readonly path: string; readonly blob: LayerBlob }
  | { readonly path: string; readonly directory: true };

export interface ExportRoot {
  readonly ref: Ref;
  /** Sub-directory in the output, e.g. `linux_amd64`; empty for the root. */
  readonly prefix: string;
  /** Files added beside the tree (attestations). */
  readonly extra: readonly { readonly path: string; readonly data: Uint8Array }[];
}
