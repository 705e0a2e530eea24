import { layerMediaType } from "../archive/compression/index.ts";
import type { ContentStore } from "../core/seams/content-store.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import { estargzAnnotations } from "../core/values/estargz-annotations.ts";
import type { Compression } from "../core/values/task.ts";
import { isSettled } from "./diff/apply-layer-tar.ts";
import type { PackedLayer } from "./worker/jobs.ts";
import type { LayerWorkers } from "./worker/layer-workers.ts";

export interface LayerPackerOptions {
  readonly workers: LayerWorkers;
  /** Where packed blobs go. */
  readonly store: ContentStore;
  /** Bytes of file content that a layer may unpack to. Default: no limit. */
  readonly maxLayerBytes?: number;
}

/** Cuts layers into blobs and unpacks blobs into layers, in worker threads. */
export class LayerPacker {
  readonly #workers: LayerWorkers;
  readonly #store: ContentStore;
  readonly #maxLayerBytes: number | undefined;

  constructor(options: LayerPackerOptions) {
    this.#workers = options.workers;
    this.#store = options.store;
    this.#maxLayerBytes = options.maxLayerBytes;
  }

  /**
   * Packs a stored layer into a blob in one pass over its files.
   *
   * @param directory `Snapshotter.layerPath`
   * @returns descriptor with annotations `containerd.io/uncompressed` (the diffID) and, if times were rewritten,
   *   `buildkit/rewritten-timestamp`; for estargz those that name its table of contents
   */
  async pack(directory: string, compression: Compression, signal?: AbortSignal): Promise<Descriptor> {
    const { rewriteTimestamp } = compression;
    const tar = rewriteTimestamp === undefined ? {} : { rewriteTimestamp };
    const args = { layer: directory, tar, format: formatOf(compression) };
    const { chunks, result } = this.#workers.stream("pack", args, { signal });
    return this.#keep(chunks, result, compression, signal);
  }

  /**
   * Converts a layer blob to another compression, or to other times, without unpacking it (BuildKit util/converter). Entries
   * and attributes stay as the blob has them, which `pack` of the unpacked layer would not promise.
   * @param blob `isEstargz`: its table of contents is left out
   */
  async repack(
    { bytes, isEstargz }: { readonly bytes: AsyncIterable<Uint8Array>; readonly isEstargz: boolean },
    compression: Compression,
    signal?: AbortSignal,
  ): Promise<Descriptor> {
    const { rewriteTimestamp } = compression;
    const times = rewriteTimestamp === undefined ? {} : { rewriteTimestamp };
    const args = { format: formatOf(compression), fromEstargz: isEstargz, ...times };
    const { chunks, result } = this.#workers.stream("repack", args, { input: bytes, signal });
    return this.#keep(chunks, result, compression, signal);
  }

  /**
   * A stored layer as an uncompressed archive. `exact` keeps nanoseconds and all attributes, for other agents; `oci` is what
   * diffIDs are made from.
   */
  archive(directory: string, form: "oci" | "exact", signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const args = { layer: directory, tar: { form }, format: { type: "uncompressed" as const } };
    const { chunks, result } = this.#workers.stream("pack", args, { signal });
    result.catch(() => {});
    return chunks;
  }

  /**
   * Unpacks a layer blob, whose compression its first bytes tell, into the empty directory of an ingest. The input is read
   * to its end.
   *
   * @param lower directories of the layers below, topmost first; asked for only by layers that cannot do without: hard links
   *   into lower layers, parents left out, opaque directories (which become whiteouts, so that the layer may be merged onto
   *   other bases with BuildKit's result)
   * @returns sha256 of the uncompressed archive
   * @throws BuildError InvalidArgument for a bad or hostile archive, DataLoss for corrupt compression
   */
  async apply(
    bytes: AsyncIterable<Uint8Array>,
    directory: string,
    lower: () => Promise<readonly string[]>,
    signal?: AbortSignal,
  ): Promise<Digest> {
    const maxBytes = this.#maxLayerBytes;
    const args = { target: directory, ...(maxBytes === undefined ? {} : { maxBytes }) };
    const { diffId, unsettled } = await this.#workers.run("unpack", args, { input: bytes, signal });
    if (!isSettled(unsettled)) {
      // The thread was given back in between: the layers below may be waiting for one.
      const lowers = await lower();
      await this.#workers.run("settle", { target: directory, lowers, unsettled }, { signal });
    }
    return diffId;
  }

  /**
   * Writes what turns one stack into another into the directory of an ingest (DiffOp). Stacks are layer directories, topmost
   * first, or one plain directory; `[]` is scratch.
   */
  async compare(
    lower: readonly string[],
    upper: readonly string[],
    directory: string,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#workers.run("compare", { lower, upper, target: directory }, { signal });
  }

  async #keep(
    chunks: AsyncIterable<Uint8Array>,
    result: Promise<PackedLayer>,
    compression: Compression,
    signal: AbortSignal | undefined,
  ): Promise<Descriptor> {
    result.catch(() => {});
    const { digest, size } = await this.#store.write(chunks, {}, signal);
    const { diffId, tocDigest, uncompressedBytes } = await result;
    const { rewriteTimestamp } = compression;
    return {
      mediaType: layerMediaType(compression.type, compression.ociMediaTypes),
      digest,
      size,
      annotations: {
        "containerd.io/uncompressed": diffId,
        ...(tocDigest === undefined ? {} : estargzAnnotations(tocDigest, uncompressedBytes)),
        ...(rewriteTimestamp === undefined ? {} : { "buildkit/rewritten-timestamp": String(rewriteTimestamp) }),
      },
    };
  }
}

function formatOf({ type, level }: Compression): { type: Compression["type"]; level?: number } {
  return level === undefined ? { type } : { type, level };
}
