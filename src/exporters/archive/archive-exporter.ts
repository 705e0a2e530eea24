import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type {
  ExportContext,
  Exporter,
  ExporterInstance,
  ExportOutcome,
  ExportSource,
} from "../../core/seams/exporter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type Digest, digestHex } from "../../core/values/digest.ts";
import type { ArchiveEntry } from "../../core/values/task.ts";
import { goJson, goTime } from "../../util/go-json.ts";
import { epochFor, parseFlag } from "../attributes.ts";
import { sortedAnnotations } from "../image/annotations.ts";
import { withAttributeMetadata } from "../image/attribute-metadata.ts";
import { checkCompression } from "../image/check-compression.ts";
import { imageResponse } from "../image/image-exporter.ts";
import { type ImageOptions, imageNames, parseImageOptions } from "../image/image-options.ts";
import { ImageWriter, orderedDescriptor, type WrittenImage } from "../image/image-writer.ts";
import { dockerTypes, ociTypes } from "../image/media-types.ts";
import { resultAnnotations } from "../image/result-annotations.ts";
import { isMultiRef } from "../result-platforms.ts";
import { reportStep } from "../step.ts";

/** Turns image names into the two forms an archive shows. */
export interface NameForms {
  /** `docker.io/library/app:latest`. @throws BuildError Unknown, as BuildKit: clients print the bare text */
  canonical(name: string): string;
  /** `app:latest` */
  familiar(name: string): string;
}

/** `type=oci` and `type=docker`: an OCI layout, for docker with its manifest.json, as a tar stream to the client (map f4). */
export class ArchiveExporter implements Exporter {
  readonly type: "oci" | "docker";
  readonly #names: NameForms;

  constructor(type: "oci" | "docker", names: NameForms) {
    this.type = type;
    this.#names = names;
  }

  resolve(attrs: Readonly<Record<string, string>>, exporterId: number): ExporterInstance {
    const image = parseImageOptions(attrs);
    const { tar, ...metadata } = image.rest;
    const form = tar === undefined || parseFlag("tar", tar) ? "tar" : "store";
    return new ArchiveExporterInstance({ type: this.type, image, metadata, form, exporterId, names: this.#names });
  }
}

interface ArchiveOptions {
  readonly type: "oci" | "docker";
  readonly image: ImageOptions;
  readonly metadata: Readonly<Record<string, string>>;
  /** `store`: blobs go into a content store of the client, who keeps its index (`tar=false`). */
  readonly form: "tar" | "store";
  readonly exporterId: number;
  readonly names: NameForms;
}

class ArchiveExporterInstance implements ExporterInstance {
  readonly name: string;
  readonly #options: ArchiveOptions;

  constructor(options: ArchiveOptions) {
    this.name = `exporting to ${options.type} image format`;
    this.#options = options;
  }

  async export(result: ExportSource, context: ExportContext): Promise<ExportOutcome> {
    const source = withAttributeMetadata(result, this.#options.metadata);
    if (this.#options.type === "docker" && isMultiRef(source)) {
      throw new BuildError(Code.Unknown, "docker exporter does not currently support exporting manifest lists");
    }
    const image = { ...this.#options.image, annotations: resultAnnotations(this.#options.image, source) };
    checkCompression(this.#options.type, image.compression.type, context.compatibilityVersion);
    const byDefault =
      this.#options.type === "oci" || context.compatibilityVersion >= 30 || (source.attestations?.size ?? 0) > 0;
    const oci = image.ociMediaTypes ?? byDefault;
    const writer = new ImageWriter(image, oci, source, context);
    const unnamed = await writer.write();
    const written = { ...unnamed, descriptor: withCreated(unnamed.descriptor, this.#epoch(source)) };
    const names = this.#canonicalNames(source);
    const response: Record<string, string> = imageResponse(written);
    if (names.length > 0) response["image.name"] = names.join(",");
    if (this.#options.form === "store") await this.#store(written, context);
    else await reportStep(context.progress, "sending tarball", () => this.#send(written, names, response, context));
    return { response, documents: written.documents };
  }

  #epoch(source: ExportSource): number | undefined {
    return epochFor(this.#options.image.epoch, source.metadata, undefined);
  }

  #canonicalNames(source: ExportSource): readonly string[] {
    return imageNames(this.#options.image, source.metadata).map((one) => {
      try {
        return this.#options.names.canonical(one);
      } catch (error) {
        throw BuildError.from(error).wrap(`failed to parse ${one}`);
      }
    });
  }

  async #store(written: WrittenImage, context: ExportContext): Promise<void> {
    const { dispatcher, signal, progress, sessions, sessionId, traceparent } = context;
    const documents = [...written.documents].map(([digest, { mediaType, data }]) => ({
      descriptor: { mediaType, digest, size: data.length },
      data,
    }));
    await dispatcher.run(
      "export.content",
      { sessionId, storeId: "export", blobs: written.layers, documents },
      { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) },
    );
  }

  async #send(
    written: WrittenImage,
    names: readonly string[],
    response: Readonly<Record<string, string>>,
    context: ExportContext,
  ): Promise<void> {
    const entries: ArchiveEntry[] = [
      { path: "oci-layout", data: utf8(goJson({ imageLayoutVersion: "1.0.0" })) },
      { path: "index.json", data: utf8(goJson(layoutIndex(written.descriptor, names))) },
      { path: "blobs/", directory: true },
      { path: "blobs/sha256/", directory: true },
      ...[...written.documents].map(([digest, { data }]) => ({ path: blobPath(digest), data })),
      ...written.layers.map((blob) => ({ path: blobPath(blob.descriptor.digest), blob })),
    ];
    if (this.#options.type === "docker") {
      const manifest = dockerManifest(
        written,
        names.map((name) => this.#options.names.familiar(name)),
      );
      if (manifest !== undefined) entries.push({ path: "manifest.json", data: utf8(goJson(manifest)) });
    }
    entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    const { dispatcher, signal, progress, sessions, sessionId, traceparent } = context;
    try {
      await dispatcher.run(
        "export.archive",
        { sessionId, exporterId: this.#options.exporterId, metadata: response, entries },
        { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) },
      );
    } catch (error) {
      // The client has what it wants already (map b6).
      if (error instanceof BuildError && error.code === Code.AlreadyExists) return;
      throw error;
    }
  }
}

function withCreated(descriptor: Descriptor, epochSeconds: number | undefined): Descriptor {
  const key = "org.opencontainers.image.created";
  if (descriptor.annotations?.[key] !== undefined) return descriptor;
  const seconds = epochSeconds ?? Math.floor(Date.now() / 1000);
  const annotations = sortedAnnotations({ ...descriptor.annotations, [key]: goTime(seconds * 1000) });
  return annotations === undefined ? descriptor : { ...descriptor, annotations };
}

function layoutIndex(descriptor: Descriptor, names: readonly string[]): object {
  const manifests =
    names.length === 0
      ? [descriptor]
      : names.map((name) => {
          const annotations = sortedAnnotations({
            ...descriptor.annotations,
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
          });
          return annotations === undefined ? descriptor : { ...descriptor, annotations };
        });
  return { schemaVersion: 2, mediaType: ociTypes.index, manifests: manifests.map(orderedDescriptor) };
}

/** `docker save` manifest.json; undefined for an index: an image with attestations has none. */
function dockerManifest(written: WrittenImage, familiarNames: readonly string[]): object | undefined {
  const text = written.documents.get(written.descriptor.digest);
  if (text === undefined) throw new BuildError(Code.Internal, "archive without its image");
  if (text.mediaType !== ociTypes.manifest && text.mediaType !== dockerTypes.manifest) return undefined;
  const manifest = JSON.parse(new TextDecoder().decode(text.data)) as {
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[] | null;
  };
  return [
    {
      Config: blobPath(manifest.config.digest),
      RepoTags: familiarNames.length === 0 ? null : familiarNames,
      Layers: manifest.layers?.map(({ digest }) => blobPath(digest)) ?? null,
    },
  ];
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
