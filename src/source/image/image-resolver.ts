import type { Clock } from "../../core/seams/clock.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { AttestationChain } from "../../core/values/attestation-chain.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, isDigest, sha256 } from "../../core/values/digest.ts";
import { specDigest } from "../../core/values/image-reference.ts";
import type { LayerInfo, Ref } from "../../core/values/layer.ts";
import { pulledLayerId, withParents } from "../../core/values/layer-id.ts";
import { isIndexType, isManifestType } from "../../core/values/media-type.ts";
import type { Platform } from "../../core/values/platform.ts";
import { FlightControl } from "../../util/flight-control.ts";
import { systemClock } from "../../util/system-clock.ts";
import type { ImageRegistry, SourceCall } from "../image-registry.ts";
import { type SourceRequest, sourceError } from "../source-identifier.ts";
import { readAttestationChain } from "./attestation-chain.ts";
import { type ImageBackend, OciLayoutBackend, RegistryBackend } from "./image-backend.ts";
import { type ImageIdentifier, parseImageIdentifier } from "./image-identifier.ts";
import { chainIds, manifestKey } from "./image-keys.ts";
import {
  detectMediaType,
  type ImageConfig,
  isSchema1,
  parseConfig,
  parseIndex,
  parseManifest,
  schema1Error,
} from "./image-manifest.ts";
import { ManifestCache } from "./manifest-cache.ts";
import { PlatformMatcher } from "./platform-matcher.ts";

export interface ImageResolverOptions {
  readonly registry: ImageRegistry;
  readonly clock?: Clock;
  /** Bytes of manifests and configs kept in memory; default 64 MiB. */
  readonly maxCacheBytes?: number;
}

export interface ImageCall extends SourceCall {
  readonly progress?: ProgressWriter;
}

/** An image source made immutable. No layer has been read. */
export interface ResolvedImage {
  /** `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** What the reference names: the index when there is one. Pin for provenance. */
  readonly digest: Digest;
  /** The `k` of cache map #0 (manifest) and #1 (chain id), before the `buildkit.source.v0:` prefix (map d5, d16). */
  readonly cacheKeys: readonly [string, string];
  readonly ref: Ref;
  /** Bottom first, lazy: with origins and no holders. */
  readonly layers: readonly LayerInfo[];
  readonly config: Uint8Array;
}

interface LoadedImage {
  readonly root: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly config: ImageConfig;
  readonly configBytes: Uint8Array;
}

const maxIndexDepth = 8;

/**
 * Resolves `docker-image://` and `oci-layout://` sources to manifests, cache keys and lazy layers
 * (BuildKit source/containerimage, util/pull). Runs on the coordinator; safe for concurrent use.
 */
export class ImageResolver {
  readonly #registry: ImageRegistry;
  readonly #clock: Clock;
  readonly #cache: ManifestCache;
  readonly #flights = new FlightControl<LoadedImage>();

  constructor(options: ImageResolverOptions) {
    this.#registry = options.registry;
    this.#clock = options.clock ?? systemClock;
    this.#cache = new ManifestCache(options.maxCacheBytes ?? 64 * 1024 * 1024);
  }

  /** @throws BuildError, RegistryError: `docker.io/library/x:y: not found`, `no match for platform in manifest: not found` … */
  async resolve(source: SourceRequest, platform: Platform, call: ImageCall): Promise<ResolvedImage> {
    const id = parseImageIdentifier(source);
    const backend = this.#backend(id);
    const statusId = `resolve ${id.name}`;
    const startedAt = this.#clock.now();
    call.progress?.status({ id: statusId, startedAt });
    try {
      const image = await this.#load(id, backend, platform, call);
      return this.#describe(id, backend, platform, image);
    } finally {
      call.progress?.status({ id: statusId, startedAt, completedAt: this.#clock.now() });
    }
  }

  /** Digest and config of an image, as frontends ask for. Equal questions at the same time are asked once. */
  async resolveConfig(
    source: SourceRequest,
    platform: Platform,
    call: ImageCall,
  ): Promise<{ readonly digest: Digest; readonly config: Uint8Array }> {
    const id = parseImageIdentifier(source);
    const image = await this.#flights.do(
      JSON.stringify([id.kind, id.name, platform, id.resolveMode, id.storeId, call.sessions.ids]),
      (signal) => this.#load(id, this.#backend(id), platform, { ...call, signal }),
      call.signal,
    );
    return { digest: image.root.digest, config: image.configBytes };
  }

  /** Digest alone, without reading a config. */
  async resolveDigest(source: SourceRequest, call: ImageCall): Promise<Digest> {
    const id = parseImageIdentifier(source);
    return (await this.#root(id, this.#backend(id), call)).digest;
  }

  /**
   * What speaks for an image, with statements of these predicate types; undefined when nothing can, as for one without an OCI
   * index.
   */
  async resolveAttestations(
    source: SourceRequest,
    platform: Platform,
    predicateTypes: readonly string[],
    call: ImageCall,
  ): Promise<AttestationChain | undefined> {
    const id = parseImageIdentifier(source);
    if (id.kind !== "registry") return undefined;
    const backend = this.#backend(id);
    return readAttestationChain(await this.#root(id, backend, call), platform, predicateTypes, {
      read: (descriptor) => this.#document(id, backend, descriptor, call),
      referrers: (digest) => this.#registry.referrers(id.spec.locator, digest, call),
    });
  }

  /** Forgets what was fetched (prune). */
  clear(): void {
    this.#cache.clear();
  }

  #backend(id: ImageIdentifier): ImageBackend {
    return id.kind === "registry" ? new RegistryBackend(this.#registry, id) : new OciLayoutBackend(id);
  }

  async #root(id: ImageIdentifier, backend: ImageBackend, call: SourceCall): Promise<Descriptor> {
    const pinned = specDigest(id.spec);
    if (isDigest(pinned)) {
      const bytes = this.#cache.from(id.spec.locator, pinned);
      if (bytes !== undefined) return { mediaType: detectMediaType(bytes), digest: pinned, size: bytes.length };
    }
    return backend.resolve(call);
  }

  async #load(id: ImageIdentifier, backend: ImageBackend, platform: Platform, call: SourceCall): Promise<LoadedImage> {
    const root = await this.#root(id, backend, call);
    if (isSchema1(root.mediaType)) throw schema1Error();
    const matcher = new PlatformMatcher(platform);
    const read = (descriptor: Descriptor) => this.#document(id, backend, descriptor, call);
    let current = root;
    for (let depth = 0; isIndexType(current.mediaType); depth++) {
      if (depth === maxIndexDepth) throw sourceError(`image index ${root.digest} is nested too deeply`);
      const best = matcher.best(parseIndex(current, await read(current)).manifests);
      if (best === undefined) throw sourceError("no match for platform in manifest: not found");
      current = best;
    }
    if (isSchema1(current.mediaType)) throw schema1Error();
    if (!isManifestType(current.mediaType)) {
      throw sourceError(`unexpected media type ${current.mediaType} for ${current.digest}: not found`);
    }
    const manifest = parseManifest(current, await read(current));
    const configBytes = await read(manifest.config);
    const config = parseConfig(manifest.config, configBytes);
    // An index entry that does not say its platform is judged by its config.
    if (current !== root && current.platform === undefined && !matcher.matches(config)) {
      throw sourceError(`no match for platform in manifest ${root.digest}: not found`);
    }
    return { root, layers: manifest.layers, config, configBytes };
  }

  async #document(
    id: ImageIdentifier,
    backend: ImageBackend,
    descriptor: Descriptor,
    call: SourceCall,
  ): Promise<Uint8Array> {
    const cached = this.#cache.get(descriptor.digest);
    if (cached !== undefined) {
      this.#cache.add(id.spec.locator, descriptor.digest, cached);
      return cached;
    }
    const bytes = await backend.document(descriptor, call);
    if (descriptor.digest.startsWith("sha256:") && sha256(bytes) !== descriptor.digest) {
      throw sourceError(`document ${descriptor.digest} of ${id.name} has digest ${sha256(bytes)}`);
    }
    this.#cache.add(id.spec.locator, descriptor.digest, bytes);
    return bytes;
  }

  #describe(id: ImageIdentifier, backend: ImageBackend, platform: Platform, image: LoadedImage): ResolvedImage {
    const { root, config } = image;
    const { diffIds } = config.rootfs;
    if (diffIds.length !== image.layers.length) {
      throw sourceError(
        `mismatched image rootfs and manifest layers [${diffIds.join(" ")}] [${image.layers.map(({ digest }) => digest).join(" ")}]`,
      );
    }
    if (id.checksum !== undefined && root.digest !== id.checksum) {
      throw sourceError(`image digest ${root.digest} for ${id.name} does not match expected checksum ${id.checksum}`);
    }
    const limit = id.layerLimit;
    if (limit !== undefined && limit > image.layers.length) {
      throw sourceError(
        `layer limit ${limit} is greater than the number of layers in the image ${image.layers.length}`,
      );
    }
    const chain = chainIds(diffIds.slice(0, limit));
    const key = manifestKey(root.digest, platform, limit);
    const chainKey = config.rootfs.type === "layers" ? chain.at(-1) : undefined;
    const layers = chain.map((chainId, index) =>
      this.#layer(
        id,
        backend,
        image.layers[index] as Descriptor,
        diffIds[index] as Digest,
        chainId,
        index === chain.length - 1,
      ),
    );
    return {
      name: id.name,
      digest: root.digest,
      cacheKeys: [key, chainKey ?? key],
      ref: { layers: layers.map((layer) => layer.id) },
      layers: withParents(layers),
      config: image.configBytes,
    };
  }

  #layer(
    id: ImageIdentifier,
    backend: ImageBackend,
    layer: Descriptor,
    diffId: Digest,
    chainId: Digest,
    isTop: boolean,
  ): LayerInfo {
    const descriptor: Descriptor = {
      mediaType: layer.mediaType,
      digest: layer.digest,
      size: layer.size,
      ...(layer.urls === undefined ? {} : { urls: layer.urls }),
      annotations: { ...layer.annotations, ...backend.annotations(), "containerd.io/uncompressed": diffId },
    };
    return {
      id: pulledLayerId(chainId, layer.digest),
      diffId,
      blobs: [descriptor],
      origins: [backend.origin(descriptor)],
      holders: [],
      sizeBytes: 0,
      createdAt: this.#clock.now(),
      description: `pulled from ${id.name}`,
      ...(isTop && id.recordType !== undefined ? { recordType: id.recordType } : {}),
    };
  }
}
