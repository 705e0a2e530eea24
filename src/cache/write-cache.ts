import pLimit from "p-limit";
import { BuildError } from "../core/errors/build-error.ts";
import type { ProgressWriter } from "../core/seams/progress.ts";
import type { ExportedCache } from "../core/seams/remote-cache.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { sha256 } from "../core/values/digest.ts";
import type { LayerBlob } from "../core/values/task.ts";
import { goJson } from "../util/go-json.ts";
import { cacheConfigMediaType } from "./cache-config.ts";
import { type CacheManifestForm, encodeCacheManifest } from "./cache-manifest.ts";

/** Where the parts of one cache go. */
export interface CacheDestination {
  /** A layer, by an agent that has it or can get it. */
  writeLayer(blob: LayerBlob): Promise<void>;
  writeConfig(descriptor: Descriptor, data: Uint8Array): Promise<void>;
  /** Comes last. */
  writeManifest(descriptor: Descriptor, data: Uint8Array): Promise<void>;
}

const concurrentLayers = 8;

/** Writes layers, then config, then manifest (BuildKit cache/remotecache/export.go). @returns exporter response keys */
export async function writeCache(
  { config, layers }: ExportedCache,
  form: CacheManifestForm,
  destination: CacheDestination,
  progress: ProgressWriter,
): Promise<Readonly<Record<string, string>>> {
  const step = async (id: string, context: string, work: () => Promise<void>) => {
    const startedAt = Date.now();
    progress.status({ id, startedAt });
    try {
      await work();
    } catch (error) {
      throw BuildError.from(error).wrap(context);
    } finally {
      progress.status({ id, startedAt, completedAt: Date.now() });
    }
  };
  if (layers.length === 0) {
    await step("skipping cache export for empty result", "", async () => {});
    return {};
  }
  const distinct = new Map(layers.map((blob) => [blob.descriptor.digest, blob]));
  const limit = pLimit(concurrentLayers);
  const outcomes = await Promise.allSettled(
    Array.from(distinct, ([digest, blob]) =>
      limit(() => step(`writing layer ${digest}`, "error writing layer blob", () => destination.writeLayer(blob))),
    ),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;

  const configDescriptor = { mediaType: cacheConfigMediaType, digest: sha256(config), size: config.length };
  await step(`writing config ${configDescriptor.digest}`, "error writing config blob", () =>
    destination.writeConfig(configDescriptor, config),
  );
  const { mediaType, data } = encodeCacheManifest(
    form,
    configDescriptor,
    layers.map(({ descriptor }) => descriptor),
  );
  const manifest = { mediaType, digest: sha256(data), size: data.length };
  const what = form === "image-manifest" ? "image manifest" : "manifest";
  await step(`writing cache ${what} ${manifest.digest}`, "error writing manifest blob", () =>
    destination.writeManifest(manifest, data),
  );
  return { "cache.manifest": goJson(manifest) };
}
