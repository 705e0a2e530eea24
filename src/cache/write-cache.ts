import pLimit, { type LimitFunction } from "p-limit";
import { BuildError } from "../core/errors/build-error.ts";
import type { ExportContext } from "../core/seams/exporter.ts";
import type { ExportedCache } from "../core/seams/remote-cache.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { sha256 } from "../core/values/digest.ts";
import type { LayerBlob } from "../core/values/task.ts";
import { allOrAbort } from "../util/all-or-abort.ts";
import { goJson } from "../util/go-json.ts";
import { cacheConfigMediaType } from "./cache-config.ts";
import { type CacheManifestForm, encodeCacheManifest } from "./cache-manifest.ts";
import { layerBatches } from "./layer-batches.ts";

/** Where the parts of one cache go. */
export interface CacheDestination {
  /** Layers, by one agent that has them or can get them. */
  writeLayers(blobs: readonly LayerBlob[], signal: AbortSignal): Promise<void>;
  writeConfig(descriptor: Descriptor, data: Uint8Array): Promise<void>;
  /** Comes last. */
  writeManifest(descriptor: Descriptor, data: Uint8Array): Promise<void>;
}

type WriteContext = Pick<ExportContext, "layer" | "progress" | "signal">;

/** Tasks at one time for the layers of one agent. */
const tasksPerHolder = 4;

/** Writes layers, then config, then manifest (BuildKit cache/remotecache/export.go). @returns exporter response keys */
export async function writeCache(
  { config, layers }: ExportedCache,
  form: CacheManifestForm,
  destination: CacheDestination,
  context: WriteContext,
): Promise<Readonly<Record<string, string>>> {
  if (layers.length === 0) {
    await reported(["skipping cache export for empty result"], "", context, async () => {});
    return {};
  }
  await writeLayers(layers, destination, context);
  const configDescriptor = { mediaType: cacheConfigMediaType, digest: sha256(config), size: config.length };
  await reported([`writing config ${configDescriptor.digest}`], "error writing config blob", context, () =>
    destination.writeConfig(configDescriptor, config),
  );
  const { mediaType, data } = encodeCacheManifest(
    form,
    configDescriptor,
    layers.map(({ descriptor }) => descriptor),
  );
  const manifest = { mediaType, digest: sha256(data), size: data.length };
  const what = form === "image-manifest" ? "image manifest" : "manifest";
  await reported([`writing cache ${what} ${manifest.digest}`], "error writing manifest blob", context, () =>
    destination.writeManifest(manifest, data),
  );
  return { "cache.manifest": goJson(manifest) };
}

/** All agents at the same time, each the layers it has. */
async function writeLayers(
  layers: readonly LayerBlob[],
  destination: CacheDestination,
  context: WriteContext,
): Promise<void> {
  const distinct = [...new Map(layers.map((blob) => [blob.descriptor.digest, blob])).values()];
  const holderOf = ({ layer }: LayerBlob) => (layer && context.layer(layer).holders[0]) ?? "";
  const limits = new Map<string, LimitFunction>();
  const batches = layerBatches(distinct, (blob) => ({ holder: holderOf(blob), sizeBytes: blob.descriptor.size }));
  await allOrAbort(batches, context.signal, (blobs, signal) => {
    const holder = blobs[0] === undefined ? "" : holderOf(blobs[0]);
    const limit = limits.get(holder) ?? pLimit(tasksPerHolder);
    limits.set(holder, limit);
    const ids = blobs.map(({ descriptor }) => `writing layer ${descriptor.digest}`);
    return limit(() => {
      signal.throwIfAborted();
      return reported(ids, "error writing layer blob", context, () => destination.writeLayers(blobs, signal));
    });
  });
}

/** Shows work as lines of progress. */
async function reported(
  ids: readonly string[],
  failure: string,
  { progress }: WriteContext,
  work: () => Promise<void>,
): Promise<void> {
  const startedAt = Date.now();
  for (const id of ids) progress.status({ id, startedAt });
  try {
    await work();
  } catch (error) {
    throw BuildError.from(error).wrap(failure);
  } finally {
    const completedAt = Date.now();
    for (const id of ids) progress.status({ id, startedAt, completedAt });
  }
}
