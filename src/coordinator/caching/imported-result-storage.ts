import type { JoinedCaches } from "../../cache/index.ts";
import { createdAtAnnotation, descriptionAnnotation, diffIdAnnotation } from "../../cache/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheResultRecord, CacheResultStorage } from "../../core/seams/cache-storage.ts";
import type { CacheSource } from "../../core/seams/remote-cache.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, isDigest } from "../../core/values/digest.ts";
import type { LayerInfo, Ref } from "../../core/values/layer.ts";
import { pulledLayerId, withParents } from "../../core/values/layer-id.ts";
import { chainIds } from "../../source/index.ts";

/** A cache that could be imported. */
export interface ReadyImport {
  readonly source: CacheSource;
  readonly cache: JoinedCaches;
}

export interface ImportedResultStorageOptions {
  /** Resolves to undefined when the import failed; never rejects. */
  readonly ready: Promise<ReadyImport | undefined>;
  readonly recordLayers: (layers: readonly LayerInfo[]) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Results of an imported cache: refs of layers that stay where they are until somebody needs them (map g11). */
export class ImportedResultStorage implements CacheResultStorage<Ref> {
  readonly #options: ImportedResultStorageOptions;
  readonly #present = new Map<Digest, Promise<boolean>>();

  constructor(options: ImportedResultStorageOptions) {
    this.#options = options;
  }

  /** @throws BuildError Unimplemented: an imported cache is not written to */
  async save(): Promise<CacheResultRecord> {
    throw new BuildError(Code.Unimplemented, "an imported cache cannot be changed");
  }

  async exists(id: string): Promise<boolean> {
    return (await this.#options.ready)?.cache.layers(id) !== undefined;
  }

  /** Undefined when one of the blobs is no longer there. */
  async load(record: CacheResultRecord): Promise<Ref | undefined> {
    const ready = await this.#options.ready;
    const blobs = ready?.cache.layers(record.id);
    if (ready === undefined || blobs === undefined) return undefined;
    const present = await Promise.all(blobs.map((blob) => this.#isPresent(ready.source, blob)));
    if (present.includes(false)) return undefined;
    const chain = chainIds(blobs.map((blob) => diffIdOf(blob) ?? blob.digest));
    const layers = withParents(
      blobs.map((blob, place) => describeLayer(ready.source, blob, chain[place] ?? blob.digest)),
    );
    await this.#options.recordLayers(layers);
    return { layers: layers.map(({ id }) => id) };
  }

  #isPresent(source: CacheSource, blob: Descriptor): Promise<boolean> {
    let present = this.#present.get(blob.digest);
    if (present === undefined) {
      present = source.has(blob, this.#options.signal);
      this.#present.set(blob.digest, present);
    }
    return present;
  }
}

function describeLayer(source: CacheSource, blob: Descriptor, chainId: Digest): LayerInfo {
  const diffId = diffIdOf(blob);
  const created = Date.parse(blob.annotations?.[createdAtAnnotation] ?? "");
  const { [createdAtAnnotation]: _, [descriptionAnnotation]: description, ...annotations } = blob.annotations ?? {};
  const descriptor = { ...blob, annotations };
  return {
    id: pulledLayerId(chainId, blob.digest),
    ...(diffId === undefined ? {} : { diffId }),
    blobs: [descriptor],
    origins: [source.origin(descriptor)],
    holders: [],
    sizeBytes: 0,
    createdAt: Number.isNaN(created) ? Date.now() : created,
    description: description ?? `imported ${blob.digest}`,
  };
}

function diffIdOf(blob: Descriptor): Digest | undefined {
  const diffId = blob.annotations?.[diffIdAnnotation] ?? "";
  return isDigest(diffId) ? diffId : undefined;
}
