import type { Attestation } from "../../api/gen/gateway.ts";
import type { Digest } from "../values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../values/layer.ts";
import type { ProgressWriter } from "./progress.ts";
import type { SessionGroup } from "./session-caller.ts";
import type { TaskDispatcher } from "./task-dispatcher.ts";

/** One kind of output. Two steps, as in BuildKit: attributes are checked when the build starts, work is done at its end. */
export interface Exporter {
  /** `image`, `oci`, `docker`, `local`, `tar`. */
  readonly type: string;
  /** @throws BuildError InvalidArgument on unknown or contradicting attributes */
  resolve(attrs: Readonly<Record<string, string>>, exporterId: number): ExporterInstance;
}

export interface ExporterInstance {
  /** Vertex name: `exporting to image` … (map a19). */
  readonly name: string;
  /**
   * Writes the output. What may overlap with cache export (pushing) goes into `finalize`.
   * @returns exporter response keys (map f11)
   */
  export(source: ExportSource, context: ExportContext): Promise<ExportOutcome>;
}

/** Configs, attestations, manifests and index by digest. */
export type ExportedDocuments = ReadonlyMap<Digest, { readonly mediaType: string; readonly data: Uint8Array }>;

export interface ExportOutcome {
  readonly response: Readonly<Record<string, string>>;
  /** What an image consists of besides its layers; absent for plain files. */
  readonly documents?: ExportedDocuments;
  readonly finalize?: (context: ExportContext) => Promise<void>;
}

export interface ExportSource {
  /** Absent with `refs` absent = scratch. */
  readonly ref?: Ref;
  /** By platform id of `refs.platforms`. */
  readonly refs?: ReadonlyMap<string, Ref | undefined>;
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** By platform id; refs of attestations are already evaluated. */
  readonly attestations?: ReadonlyMap<string, readonly EvaluatedAttestation[]>;
  /** Inline cache to put into image configs (`moby.buildkit.cache.v0`), by platform id or "". */
  readonly inlineCache?: (platformId: string, layerDigests: readonly string[]) => Promise<Uint8Array | undefined>;
}

export interface EvaluatedAttestation {
  readonly attestation: Attestation;
  readonly ref?: Ref;
  /** In-toto statement body when the attestation was made by the coordinator itself. */
  readonly content?: () => Promise<Uint8Array>;
}

export interface ExportContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  readonly sessions: SessionGroup;
  /** The session whose client receives files. */
  readonly sessionId: string;
  readonly dispatcher: TaskDispatcher;
  /** What is known of a layer. @throws BuildError Internal for an unknown one */
  layer(id: LayerId): LayerInfo;
  /** 10, 20 or 30 (map a12). */
  readonly compatibilityVersion: number;
  readonly traceparent?: string;
}
