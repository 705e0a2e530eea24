import { BuildError } from "../../core/errors/build-error.ts";
import type {
  ExportContext,
  Exporter,
  ExporterInstance,
  ExportOutcome,
  ExportSource,
} from "../../core/seams/exporter.ts";
import { goJson } from "../../util/go-json.ts";
import { parseFlag } from "../attributes.ts";
import { withAttributeMetadata } from "./attribute-metadata.ts";
import { checkCompression } from "./check-compression.ts";
import { type ImageOptions, imageNames, parseImageOptions } from "./image-options.ts";
import { ImageWriter, orderedDescriptor, type WrittenImage } from "./image-writer.ts";
import type { ManifestPusher } from "./manifest-pusher.ts";
import { resultAnnotations } from "./result-annotations.ts";

/**
 * `type=image`: names an image and pushes it. There is no image store, so `store` and `unpack` change nothing, as with
 * BuildKit's OCI worker (exporter/containerimage/export.go).
 */
export class ImageExporter implements Exporter {
  readonly type = "image";
  readonly #pusher: ManifestPusher;

  constructor(pusher: ManifestPusher) {
    this.#pusher = pusher;
  }

  resolve(attrs: Readonly<Record<string, string>>): ExporterInstance {
    const image = parseImageOptions(attrs);
    const flags = new Map<string, boolean>();
    const metadata: Record<string, string> = {};
    let danglingPrefix = "";
    for (const [key, value] of Object.entries(image.rest)) {
      if (key === "dangling-name-prefix") danglingPrefix = value;
      else if (flagKeys.has(key)) flags.set(key, parseFlag(key, value));
      else metadata[key] = value;
    }
    const options = {
      image,
      metadata,
      push: flags.get("push") ?? false,
      byDigest: flags.get("push-by-digest") ?? false,
      insecure: flags.get("registry.insecure") ?? false,
      danglingPrefix,
      danglingEmptyOnly: flags.get("danging-name-empty-only") ?? false,
    };
    return new ImageExporterInstance(options, this.#pusher);
  }
}

const flagKeys = new Set([
  "push",
  "push-by-digest",
  "registry.insecure",
  "unpack",
  "store",
  "name-canonical",
  "danging-name-empty-only",
  "unsafe-internal-store-allow-incomplete",
]);

interface Options {
  readonly image: ImageOptions;
  readonly metadata: Readonly<Record<string, string>>;
  readonly push: boolean;
  readonly byDigest: boolean;
  readonly insecure: boolean;
  readonly danglingPrefix: string;
  readonly danglingEmptyOnly: boolean;
}

class ImageExporterInstance implements ExporterInstance {
  readonly name = "exporting to image";
  readonly #options: Options;
  readonly #pusher: ManifestPusher;

  constructor(options: Options, pusher: ManifestPusher) {
    this.#options = options;
    this.#pusher = pusher;
  }

  async export(result: ExportSource, context: ExportContext): Promise<ExportOutcome> {
    const source = withAttributeMetadata(result, this.#options.metadata);
    const image = { ...this.#options.image, annotations: resultAnnotations(this.#options.image, source) };
    checkCompression("image", image.compression.type, context.compatibilityVersion);
    const oci = image.ociMediaTypes ?? (context.compatibilityVersion >= 30 || (source.attestations?.size ?? 0) > 0);
    const options = { ...image, attestationInline: image.attestationInline ?? true };
    const written = await new ImageWriter(options, oci, source, context).write();
    const names = this.#names(source, written);
    const response: Record<string, string> = imageResponse(written);
    if (names.length > 0) response["image.name"] = names.join(",");
    const { documents } = written;
    if (!this.#options.push || names.length === 0) return { response, documents };
    const finalize = async (finalContext: ExportContext) => {
      for (const name of names) {
        try {
          await this.#pusher.push(
            written,
            { name, byDigest: this.#options.byDigest, insecure: this.#options.insecure },
            finalContext,
          );
        } catch (error) {
          throw BuildError.from(error).wrap(`failed to push ${name}`);
        }
      }
    };
    return { response, documents, finalize };
  }

  #names(source: ExportSource, written: WrittenImage): readonly string[] {
    const { image, danglingPrefix, danglingEmptyOnly } = this.#options;
    const names = imageNames(image, source.metadata);
    if (danglingPrefix !== "" && (!danglingEmptyOnly || names.length === 0)) {
      names.push(`${danglingPrefix}@${written.descriptor.digest}`);
    }
    return names;
  }
}

/** Response keys every image-like exporter answers (map f11). */
export function imageResponse(written: WrittenImage): Record<string, string> {
  const descriptor = Buffer.from(goJson(orderedDescriptor(written.descriptor))).toString("base64");
  return {
    "containerimage.digest": written.descriptor.digest,
    ...(written.configDigest === undefined ? {} : { "containerimage.config.digest": written.configDigest }),
    "containerimage.descriptor": descriptor,
  };
}
