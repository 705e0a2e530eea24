import type { Descriptor } from "../values/descriptor.ts";
import type { BlobOrigin } from "../values/layer.ts";
import type { Compression, LayerBlob } from "../values/task.ts";
import type { ExportContext } from "./exporter.ts";
import type { SessionGroup } from "./session-caller.ts";

/** One place that build cache can be exported to (map g). Attributes are checked when the build starts. */
export interface CacheExporter {
  /** `local`, `registry`. */
  readonly type: string;
  /** @throws BuildError on attributes that cannot work */
  resolve(attrs: Readonly<Record<string, string>>): CacheExporterInstance;
}

export interface CacheExporterInstance {
  /** Vertex name: `exporting cache to registry` … (map a19). */
  readonly name: string;
  /** How layers without a blob are packed. */
  readonly compression: Compression;
  /** Writes layers, config and manifest. @returns exporter response keys, `cache.manifest` */
  write(cache: ExportedCache, context: ExportContext): Promise<Readonly<Record<string, string>>>;
}

/** A cache ready to be written. */
export interface ExportedCache {
  /** `application/vnd.buildkit.cacheconfig.v0` */
  readonly config: Uint8Array;
  /** In the order of the config's layers; a blob may come twice, above different parents. */
  readonly layers: readonly LayerBlob[];
}

/** One kind of place that build cache can be imported from. */
export interface CacheImporter {
  readonly type: string;
  /**
   * Finds the cache. It stays readable while one of the sessions lives.
   * @throws BuildError; a build goes on without the cache then
   */
  open(attrs: Readonly<Record<string, string>>, call: CacheImportCall): Promise<CacheSource>;
}

export interface CacheImportCall {
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
}

/** Documents and blobs of one cache. */
export interface CacheSource {
  /** Manifest or index; the media type may be empty. */
  readonly root: Descriptor;
  /** A small document, whole and verified. @throws BuildError */
  read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array>;
  /** Where an agent gets a layer. */
  origin(descriptor: Descriptor): BlobOrigin;
  /** False when the blob is known to be gone. */
  has(descriptor: Descriptor, signal: AbortSignal): Promise<boolean>;
}
