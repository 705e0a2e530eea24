import { layerMediaType } from "../archive/compression/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { ContentStore } from "../core/seams/content-store.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { Compression } from "../core/values/task.ts";
import type { LayerWorkers } from "./worker/layer-workers.ts";

export interface PackResult {
  /** With annotations `containerd.io/uncompressed` and, if times were rewritten, `buildkit/rewritten-timestamp`. */
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
}

/** Cuts layers into blobs and unpacks blobs into layers, in worker threads. */
export class LayerPacker {
  readonly #workers: LayerWorkers;

  constructor(workers: LayerWorkers) {
    this.#workers = workers;
  }

  /**
   * Packs a stored layer into a blob in one pass over its files.
   * @param layerDir `Snapshotter.layerPath`
   * @throws BuildError Unimplemented for estargz
   */
  async pack(
    layerDir: string,
    compression: Compression,
    store: ContentStore,
    signal?: AbortSignal,
  ): Promise<PackResult> {
    const { rewriteTimestamp } = compression;
    const tar = rewriteTimestamp === undefined ? {} : { rewriteTimestamp };
    const args = { layer: layerDir, tar, format: formatOf(compression) };
    const { chunks, result } = this.#workers.stream("pack", args, { signal });
    return storeBlob(chunks, result, compression, store, signal);
  }

  /** Converts a layer blob to another compression, or to other times, without unpacking it (BuildKit util/converter). */
  async repack(
    blob: AsyncIterable<Uint8Array>,
    compression: Compression,
    store: ContentStore,
    signal?: AbortSignal,
  ): Promise<PackResult> {
    const { rewriteTimestamp } = compression;
    const args = { format: formatOf(compression), ...(rewriteTimestamp === undefined ? {} : { rewriteTimestamp }) };
    const { chunks, result } = this.#workers.stream("repack", args, { input: blob, signal });
    return storeBlob(chunks, result, compression, store, signal);
  }

  /**
   * A stored layer as an uncompressed archive. `exact` keeps nanoseconds and all attributes, for other agents; `oci` is what
   * diffIDs are made from.
   */
  archive(layerDir: string, form: "oci" | "exact", signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const args = { layer: layerDir, tar: { form }, format: { type: "uncompressed" as const } };
    const { chunks, result } = this.#workers.stream("pack", args, { signal });
    result.catch(() => {});
    return chunks;
  }

  /**
   * Unpacks a layer blob, of any compression, into the directory of an ingest.
   *
   * @param options.lowers layer directories below, topmost first. With them, opaque directories become whiteouts, and the
   *   layer may be stacked elsewhere (merge) with BuildKit's result; without, the archive is taken as it stands.
   * @throws BuildError DataLoss when the uncompressed bytes are not `expect.diffId`; InvalidArgument for a bad archive
   */
  async unpack(
    blob: AsyncIterable<Uint8Array>,
    target: string,
    options: {
      readonly lowers?: readonly string[];
      readonly diffId?: Digest;
      readonly maxBytes?: number;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<{ readonly diffId: Digest; readonly uncompressedBytes: number; readonly entries: number }> {
    const { lowers, maxBytes, signal } = options;
    const args = {
      target,
      ...(lowers === undefined ? {} : { lowers }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
    };
    const applied = await this.#workers.run("unpack", args, { input: blob, signal });
    if (options.diffId !== undefined && options.diffId !== applied.diffId) {
      throw new BuildError(Code.DataLoss, `wrong diff id ${applied.diffId} of layer, expected ${options.diffId}`);
    }
    return applied;
  }

  /**
   * Writes what turns one stack into another into an ingest's directory (DiffOp). Stacks are layer directories, topmost
   * first, or one plain directory.
   */
  async compare(
    lower: readonly string[],
    upper: readonly string[],
    target: string,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#workers.run("compare", { lower, upper, target }, { signal });
  }
}

function formatOf({ type, level }: Compression): { type: Compression["type"]; level?: number } {
  if (type === "estargz") throw new BuildError(Code.Unimplemented, "estargz compression is not supported");
  return level === undefined ? { type } : { type, level };
}

async function storeBlob(
  chunks: AsyncIterable<Uint8Array>,
  result: Promise<{ readonly diffId: Digest; readonly uncompressedBytes: number }>,
  compression: Compression,
  store: ContentStore,
  signal: AbortSignal | undefined,
): Promise<PackResult> {
  result.catch(() => {});
  const blob = await store.write(chunks, {}, signal);
  const { diffId, uncompressedBytes } = await result;
  const { rewriteTimestamp } = compression;
  const descriptor: Descriptor = {
    mediaType: layerMediaType(compression.type, compression.ociMediaTypes),
    digest: blob.digest,
    size: blob.size,
    annotations: {
      "containerd.io/uncompressed": diffId,
      ...(rewriteTimestamp === undefined ? {} : { "buildkit/rewritten-timestamp": String(rewriteTimestamp) }),
    },
  };
  return { descriptor, diffId, uncompressedBytes };
}
