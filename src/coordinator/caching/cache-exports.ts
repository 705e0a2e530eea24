import { type BlobChain, CacheChains, encodeCacheConfig, inlineRecords } from "../../cache/index.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { CacheExporterInstance } from "../../core/seams/remote-cache.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, isDigest } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { orderedDescriptor, shownAnnotations } from "../../exporters/index.ts";
import { type CachedResult, type CacheExportOptions, type CacheRecord, exportCacheKeys } from "../../solver/index.ts";
import { cacheDescriptor, ResultBlobs } from "./result-blobs.ts";

type Resolve = CacheExportOptions<Ref, never, BlobChain>["resolve"];

export interface CacheExportsOptions {
  /** Lets go of a result that was loaded from the cache to be exported. */
  readonly releaseResult: (ref: Ref) => void;
}

/** Writes the cache behind a build's results (BuildKit solver/llbsolver/export.go). */
export class CacheExports {
  readonly #options: CacheExportsOptions;

  constructor(options: CacheExportsOptions) {
    this.#options = options;
  }

  /** One remote cache. @returns exporter response keys */
  async write(
    exporter: CacheExporterInstance,
    mode: "min" | "max",
    results: readonly CachedResult<Ref>[],
    context: ExportContext,
  ): Promise<Readonly<Record<string, string>>> {
    const chains = await reportStep(context, "preparing build cache for export", () => {
      const blobs = new ResultBlobs(exporter.compression, context);
      return this.#walk(results, mode, (ref, onlyRemote) => blobs.chain(ref, onlyRemote));
    });
    return reportStep(context, "sending cache export", () => {
      const { config, layers } = chains.layout();
      return exporter.write({ config: encodeCacheConfig(config), layers }, context);
    });
  }

  /** Records for the config of an image with exactly these layers (map g5). */
  async inline(
    result: CachedResult<Ref>,
    imageLayers: readonly string[],
    context: ExportContext,
  ): Promise<Uint8Array | undefined> {
    return reportStep(context, "preparing layers for inline cache", async () => {
      const blobs = imageLayers.filter((digest): digest is Digest => isDigest(digest));
      const wanted = new Set(blobs);
      const chains = await this.#walk([result], "min", async (ref) => {
        const infos = ref.layers.map((id) => context.layer(id));
        const chain = infos.map((info) => imageBlob(info, wanted));
        return chain.every((blob) => blob !== undefined) ? chain.map((descriptor) => ({ descriptor })) : undefined;
      });
      return inlineRecords(chains.layout().config, blobs);
    });
  }

  /** The blobs there are already of the steps behind a result, for provenance. */
  async stepBlobs(
    { cacheKeys }: CachedResult<Ref>,
    layer: (id: LayerId) => LayerInfo,
  ): Promise<readonly { readonly vertex: Digest; readonly output: number; readonly blobs: readonly Descriptor[] }[]> {
    const steps: { vertex: Digest; output: number; blobs: readonly Descriptor[] }[] = [];
    const chainOf = async ({ layers }: Ref) => {
      const blobs = layers.map((id) => visibleBlob(layer(id)));
      return blobs.every((blob) => blob !== undefined) ? blobs.map((descriptor) => ({ descriptor })) : undefined;
    };
    const target: CacheExportOptions<Ref, object, BlobChain>["target"] = {
      add: (_digest, _inputs, results) => {
        for (const { vertex, output, content } of results) {
          if (vertex !== undefined) steps.push({ vertex, output, blobs: content.map(({ descriptor }) => descriptor) });
        }
        return {};
      },
    };
    await exportCacheKeys(cacheKeys.slice(0, 1), {
      target,
      mode: "remote-only",
      roots: true,
      backlinks: false,
      resolve: (result) => this.#resolve(result, chainOf),
    });
    return steps;
  }

  async #walk(
    results: readonly CachedResult<Ref>[],
    mode: "min" | "max",
    chainOf: (ref: Ref, onlyRemote: boolean) => Promise<BlobChain | undefined>,
  ): Promise<CacheChains> {
    const target = new CacheChains();
    const resolve: Resolve = (result, { onlyRemote }) => this.#resolve(result, (ref) => chainOf(ref, onlyRemote));
    for (const { cacheKeys } of results) {
      // Each of a result's keys leads to the same chain.
      await exportCacheKeys(cacheKeys.slice(0, 1), { target, mode, resolve });
    }
    return target;
  }

  async #resolve(
    result: Parameters<Resolve>[0],
    chainOf: (ref: Ref) => Promise<BlobChain | undefined>,
  ): Promise<readonly BlobChain[]> {
    const chain = "live" in result ? await chainOf(result.live) : await this.#withStored(result.record, chainOf);
    return chain === undefined ? [] : [chain];
  }

  /** A result that the build found but did not need. */
  async #withStored(
    { id, createdAt, manager }: CacheRecord<Ref>,
    use: (ref: Ref) => Promise<BlobChain | undefined>,
  ): Promise<BlobChain | undefined> {
    let ref: Ref | undefined;
    try {
      ref = await manager.results.load({ id, createdAt });
    } catch {
      // Lost with its holder: this part of the cache is left out.
      return undefined;
    }
    if (ref === undefined) return undefined;
    try {
      return await use(ref);
    } finally {
      this.#options.releaseResult(ref);
    }
  }
}

function imageBlob(info: LayerInfo, wanted: ReadonlySet<Digest>): Descriptor | undefined {
  const all = [...info.origins.map(({ descriptor }) => descriptor), ...info.blobs];
  const blob = all.find(({ digest }) => wanted.has(digest));
  return blob === undefined ? undefined : cacheDescriptor(blob, info);
}

/** The first blob a layer had: where it came from, or how it was cut. */
function visibleBlob({ origins: [origin], blobs: [cut] }: LayerInfo): Descriptor | undefined {
  const blob = origin?.descriptor ?? cut;
  return blob && orderedDescriptor({ ...blob, annotations: shownAnnotations(blob.annotations) });
}

async function reportStep<T>({ progress }: ExportContext, id: string, work: () => Promise<T>): Promise<T> {
  const startedAt = Date.now();
  progress.status({ id, startedAt });
  try {
    return await work();
  } finally {
    progress.status({ id, startedAt, completedAt: Date.now() });
  }
}
