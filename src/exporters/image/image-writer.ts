import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext, ExportedDocuments, ExportSource } from "../../core/seams/exporter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { distributableType, layerMediaType } from "../../core/values/media-type.ts";
import type { Compression, LayerBlob } from "../../core/values/task.ts";
import { goJson } from "../../util/go-json.ts";
import { attestationManifest } from "../attestation/attestation-manifest.ts";
import { imagePackageUrl } from "../attestation/image-package-url.ts";
import { digestSet } from "../attestation/in-toto-statement.ts";
import { ResultAttestations } from "../attestation/result-attestations.ts";
import { supplementSbom } from "../attestation/supplement-sbom.ts";
import { epochFor } from "../attributes.ts";
import {
  isMultiRef,
  ociPlatform,
  platformMetadata,
  type ResultPlatform,
  resultPlatforms,
} from "../result-platforms.ts";
import { reportStep } from "../step.ts";
import { sortedAnnotations } from "./annotations.ts";
import { cutAs, existingBlob } from "./existing-blob.ts";
import { defaultImageConfig, patchImageConfig } from "./image-config.ts";
import { type ImageOptions, imageNames } from "./image-options.ts";
import { diffIdAnnotation, shownAnnotations } from "./layer-annotations.ts";
import { dockerTypes, ociTypes } from "./media-types.ts";

/** A whole image, ready to be pushed or put into an archive. */
export interface WrittenImage {
  /** Manifest, or index when there are several platforms. */
  readonly descriptor: Descriptor;
  /** Absent for an index. */
  readonly configDigest?: Digest;
  /** Each before whatever refers to it. */
  readonly documents: ExportedDocuments;
  /** Layer blobs, each once; their bytes are on agents or at their origin. */
  readonly layers: readonly LayerBlob[];
}

/** Packs layers on the agents that hold them and writes configs, manifests and index (BuildKit containerimage/writer.go). */
export class ImageWriter {
  readonly #options: ImageOptions;
  readonly #oci: boolean;
  readonly #source: ExportSource;
  readonly #context: ExportContext;
  readonly #attestations: ResultAttestations;
  readonly #documents = new Map<Digest, { readonly mediaType: string; readonly data: Uint8Array }>();
  readonly #layers = new Map<Digest, LayerBlob>();

  constructor(options: ImageOptions, oci: boolean, source: ExportSource, context: ExportContext) {
    this.#options = options;
    this.#oci = oci;
    this.#source = source;
    this.#context = context;
    this.#attestations = new ResultAttestations(source, context);
  }

  /** @throws BuildError Unknown, as BuildKit: clients print the bare text for attributes that contradict the result */
  async write(): Promise<WrittenImage> {
    const platforms = resultPlatforms(this.#source);
    this.#checkAnnotations(platforms);
    if (!this.#oci && this.#options.ociArtifact === true) {
      throw new BuildError(Code.Unknown, 'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"');
    }
    const inline = this.#options.attestationInline ?? false;
    const needsIndex = isMultiRef(this.#source) || platforms.some(({ id }) => this.#attestations.has(id, inline));
    if (!needsIndex) return this.#writeSingle(platforms[0]);
    if (!this.#oci && this.#attestations.exist) {
      throw new BuildError(Code.Unknown, 'cannot export attestations with "oci-mediatypes=false"');
    }
    const blobs = await this.#packAll(platforms);
    const manifests: Descriptor[] = [];
    const attestations: Descriptor[] = [];
    for (const [index, platform] of platforms.entries()) {
      const packed = blobs[index] ?? [];
      const { descriptor } = await this.#writeManifest(platform, packed);
      manifests.push({ ...descriptor, platform: ociPlatform(platform.platform) });
      const attestation = await this.#writeAttestations(platform, descriptor, packed);
      if (attestation !== undefined) attestations.push(attestation);
    }
    return this.#written(await this.#writeIndex([...manifests, ...attestations]));
  }

  /** Once there is an index, attestations meant for images only are written too. */
  async #writeAttestations(
    platform: ResultPlatform,
    manifest: Descriptor,
    packed: readonly Packed[],
  ): Promise<Descriptor | undefined> {
    if (!this.#attestations.has(platform.id, true)) return undefined;
    const digest = digestSet([manifest.digest]);
    const names = imageNames(this.#options, this.#source.metadata);
    const subjects = names.map((name) => ({ name: imagePackageUrl("docker", name, platform.platform), digest }));
    const statements = await this.#attestations.statements(
      platform.id,
      true,
      async () => subjects,
      (entry) => supplementSbom(entry, packed, this.#context),
    );
    const { descriptor, documents } = attestationManifest(
      manifest,
      statements.map(({ statement }) => statement),
      this.#options.ociArtifact ?? this.#context.compatibilityVersion >= 30,
    );
    for (const [key, document] of documents) this.#documents.set(key, document);
    await reportStep(this.#context.progress, `exporting attestation manifest ${descriptor.digest}`, async () => {});
    return descriptor;
  }

  async #writeSingle(platform: ResultPlatform | undefined): Promise<WrittenImage> {
    if (platform === undefined) throw new BuildError(Code.Internal, "result without a platform");
    const { index, indexDescriptor } = this.#options.annotations.for(undefined);
    if (Object.keys({ ...index, ...indexDescriptor }).length > 0) {
      throw new BuildError(Code.Unknown, "index annotations not supported for single platform export");
    }
    const [blobs = []] = await this.#packAll([platform]);
    const { descriptor, configDigest } = await this.#writeManifest(platform, blobs);
    return { ...this.#written({ ...descriptor, platform: ociPlatform(platform.platform) }), configDigest };
  }

  #written(descriptor: Descriptor): WrittenImage {
    return { descriptor, documents: this.#documents, layers: [...this.#layers.values()] };
  }

  #checkAnnotations(platforms: readonly ResultPlatform[]): void {
    const { annotations } = this.#options;
    for (const id of annotations.platforms) {
      if (!platforms.some((platform) => platform.id === id)) {
        throw new BuildError(Code.Unknown, `invalid annotation: no platform ${id} found in source`);
      }
    }
    if (!this.#oci && annotations.needsOci) {
      throw new BuildError(Code.Unknown, 'cannot export annotations with "oci-mediatypes=false"');
    }
  }

  /** Blobs of every platform, all layers at the same time. */
  async #packAll(platforms: readonly ResultPlatform[]): Promise<readonly (readonly Packed[])[]> {
    return reportStep(this.#context.progress, "exporting layers", () =>
      Promise.all(
        platforms.map((platform) => {
          const base = platformMetadata(this.#source, "containerimage.base.config", platform);
          return this.#packRef(platform.ref ?? { layers: [] }, baseDiffIds(base), this.#epoch(platform));
        }),
      ),
    );
  }

  #epoch(platform: ResultPlatform): number | undefined {
    return epochFor(this.#options.epoch, this.#source.metadata, platform.id);
  }

  async #packRef(ref: Ref, base: readonly string[], epoch: number | undefined): Promise<readonly Packed[]> {
    const infos = ref.layers.map((id) => this.#context.layer(id));
    const rewrite = this.#options.rewriteTimestamp ? epoch : undefined;
    const unchanged = baseLength(infos, base);
    return Promise.all(
      infos.map(async (info, index) => {
        const keep = rewrite === undefined || index < unchanged;
        const compression: Compression = {
          ...this.#options.compression,
          ociMediaTypes: this.#oci,
          ...(keep ? {} : { rewriteTimestamp: rewrite }),
        };
        const descriptor =
          (keep ? existingBlob(info, this.#options.compression) : undefined) ??
          (await this.#pack(info.id, compression));
        return { info, descriptor, ...cutAs(info, descriptor, compression) };
      }),
    );
  }

  async #pack(id: LayerId, compression: Compression): Promise<Descriptor> {
    const { dispatcher, signal, progress, sessions, traceparent } = this.#context;
    const { descriptors } = await dispatcher.run(
      "pack",
      { layers: [id], compression },
      { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) },
    );
    const [descriptor] = descriptors;
    if (descriptor === undefined) throw new BuildError(Code.Internal, `agent packed layer ${id} into nothing`);
    return descriptor;
  }

  async #writeManifest(
    platform: ResultPlatform,
    packed: readonly Packed[],
  ): Promise<{ readonly descriptor: Descriptor; readonly configDigest: Digest }> {
    const types = this.#oci ? ociTypes : dockerTypes;
    const given = platformMetadata(this.#source, "containerimage.config", platform);
    const history = packed.map(({ info, descriptor }) => ({
      diffId: diffIdOf(descriptor),
      createdAt: info.createdAt || undefined,
      description: info.description ?? "",
    }));
    const layerDigests = packed.map(({ descriptor }) => descriptor.digest);
    const config = patchImageConfig(
      given === undefined || given.length === 0 ? defaultImageConfig(platform.platform) : given,
      platformMetadata(this.#source, "containerimage.base.config", platform),
      history,
      this.#epoch(platform),
      await this.#source.inlineCache?.(platform.id, layerDigests),
    );
    const configDescriptor = this.#document(types.config, config);
    const layers = packed.map(({ info, descriptor, compression }) => {
      const layer = this.#manifestLayer(descriptor);
      this.#layers.set(layer.digest, { layer: info.id, descriptor: layer, ...(compression && { compression }) });
      return layer;
    });
    const annotations = this.#options.annotations.for(platform.platform);
    const manifest = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: configDescriptor,
      layers: layers.length === 0 ? null : layers,
      annotations: sortedAnnotations(annotations.manifest),
    };
    const text = new TextEncoder().encode(goJson(manifest, "  "));
    const descriptor = this.#document(types.manifest, text);
    await reportStep(this.#context.progress, `exporting manifest ${descriptor.digest}`, async () => {});
    await reportStep(this.#context.progress, `exporting config ${configDescriptor.digest}`, async () => {});
    const own = sortedAnnotations(annotations.manifestDescriptor);
    return {
      descriptor: own === undefined ? descriptor : { ...descriptor, annotations: own },
      configDigest: configDescriptor.digest,
    };
  }

  async #writeIndex(manifests: readonly Descriptor[]): Promise<Descriptor> {
    const types = this.#oci ? ociTypes : dockerTypes;
    const annotations = this.#options.annotations.for(undefined);
    const index = {
      schemaVersion: 2,
      mediaType: types.index,
      manifests: manifests.map(orderedDescriptor),
      annotations: sortedAnnotations(annotations.index),
    };
    const descriptor = this.#document(types.index, new TextEncoder().encode(goJson(index, "  ")));
    await reportStep(this.#context.progress, `exporting manifest list ${descriptor.digest}`, async () => {});
    const own = sortedAnnotations(annotations.indexDescriptor);
    return own === undefined ? descriptor : { ...descriptor, annotations: own };
  }

  /**
   * A layer descriptor as a manifest shows it: media type of the right family, no internal annotations, and its urls only where
   * they are to be kept (BuildKit cache/refs.go, ociDesc).
   */
  #manifestLayer(descriptor: Descriptor): Descriptor {
    const { urls = [] } = descriptor;
    const elsewhere = this.#options.preferNonDistributable && urls.length > 0;
    const mediaType = elsewhere ? descriptor.mediaType : distributableType(descriptor.mediaType);
    const annotations = sortedAnnotations(this.#oci ? shownAnnotations(descriptor.annotations) : {});
    return orderedDescriptor({
      mediaType: layerMediaType(mediaType, this.#oci),
      digest: descriptor.digest,
      size: descriptor.size,
      ...(elsewhere ? { urls } : {}),
      ...(annotations === undefined ? {} : { annotations }),
    });
  }

  #document(mediaType: string, data: Uint8Array): Descriptor {
    const digest = sha256(data);
    this.#documents.set(digest, { mediaType, data });
    return { mediaType, digest, size: data.length };
  }
}

interface Packed {
  readonly info: LayerInfo;
  readonly descriptor: Descriptor;
  readonly compression?: Compression;
}

/** Fields in Go's order. */
export function orderedDescriptor(descriptor: Descriptor): Descriptor {
  const { mediaType, digest, size, urls, annotations, platform, artifactType } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(urls === undefined || urls.length === 0 ? {} : { urls }),
    ...(annotations === undefined || Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(platform === undefined ? {} : { platform }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

function diffIdOf(descriptor: Descriptor): Digest {
  const diffId = descriptor.annotations?.[diffIdAnnotation];
  if (diffId === undefined) throw new BuildError(Code.Internal, `blob ${descriptor.digest} came without its diffId`);
  return diffId as Digest;
}

function baseDiffIds(config: Uint8Array | undefined): readonly string[] {
  if (config === undefined || config.length === 0) return [];
  const { rootfs } = JSON.parse(new TextDecoder().decode(config)) as { rootfs?: { diff_ids?: string[] | null } };
  return rootfs?.diff_ids ?? [];
}

/** How many layers from the bottom are those of the base image: their times are not rewritten. */
function baseLength(infos: readonly LayerInfo[], base: readonly string[]): number {
  let count = 0;
  while (count < infos.length && count < base.length && infos[count]?.diffId === base[count]) count++;
  return count;
}
