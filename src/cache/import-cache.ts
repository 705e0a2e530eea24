import { setImmediate } from "node:timers/promises";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { ProgressWriter } from "../core/seams/progress.ts";
import type { CacheSource } from "../core/seams/remote-cache.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { parseCacheConfig } from "./cache-config.ts";
import { parseCacheManifest } from "./cache-manifest.ts";
import { ImportedCache } from "./imported-cache.ts";
import { readInlineCache } from "./inline/read-inline-cache.ts";

/**
 * For manifests and configs. A graph of 10,000 vertices needs 5 MB, which BuildKit writes but refuses to read (1 MiB,
 * cache/remotecache/import.go). What is as large as this takes half a second to read, in pieces.
 */
const maxDocumentBytes = 16 << 20;

/**
 * Reads the index of a cache; layers stay where they are (BuildKit cache/remotecache/import.go). An image brings its inline
 * cache, an index of images those of all its platforms.
 * @throws BuildError when it cannot be read or is not what it should be
 */
export async function importCache(
  source: CacheSource,
  progress: ProgressWriter,
  signal: AbortSignal,
): Promise<readonly ImportedCache[]> {
  const manifest = parseCacheManifest(await readDocument(source, source.root, signal));
  const now = Date.now();
  progress.status({ id: `inferred cache manifest type: ${manifest.mediaType}`, startedAt: now, completedAt: now });
  if (manifest.config === undefined) return readInlineCache(source, manifest, signal);
  const config = parseCacheConfig(await readDocument(source, manifest.config, signal));
  await setImmediate();
  return [new ImportedCache(config, new Map(manifest.layers.map((layer) => [layer.digest, layer])))];
}

async function readDocument(source: CacheSource, descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
  const { digest, size } = descriptor;
  if (size > maxDocumentBytes) {
    throw new BuildError(Code.InvalidArgument, `blob ${digest} is too large (${size} > ${maxDocumentBytes})`);
  }
  return source.read(descriptor, signal);
}
