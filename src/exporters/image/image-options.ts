import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportSource } from "../../core/seams/exporter.ts";
import { parseBool, parseCompression } from "../../core/values/export-attributes.ts";
import type { Compression } from "../../core/values/task.ts";
import { type EpochChoice, parseEpoch } from "../attributes.ts";
import { AnnotationSet } from "./annotations.ts";

/** What image, oci and docker exporters have in common (map f2, f6–f8). */
export interface ImageOptions {
  /** csv; `*` takes the name from the result's metadata */
  readonly name: string;
  /** undefined = the exporter's default */
  readonly ociMediaTypes: boolean | undefined;
  readonly compression: Omit<Compression, "ociMediaTypes" | "rewriteTimestamp">;
  readonly rewriteTimestamp: boolean;
  /** Layers that came from elsewhere by their urls stay there; else they become layers like others. */
  readonly preferNonDistributable: boolean;
  readonly epoch: EpochChoice;
  readonly annotations: AnnotationSet;
  /** Attestation manifests are artifacts; undefined = the default of the compatibility version. */
  readonly ociArtifact: boolean | undefined;
  /** Attestations meant for images only go along; undefined = the exporter's default. */
  readonly attestationInline: boolean | undefined;
  /** Attributes this function does not know, for the exporter itself. */
  readonly rest: Readonly<Record<string, string>>;
}

/** @throws BuildError Unknown, as BuildKit: clients print the bare text */
export function parseImageOptions(attrs: Readonly<Record<string, string>>): ImageOptions {
  const rest: Record<string, string> = {};
  const annotations = new AnnotationSet();
  let name = "";
  let ociMediaTypes: boolean | undefined;
  let rewriteTimestamp = false;
  let preferNonDistributable = false;
  let epoch: EpochChoice = { explicit: false };
  let ociArtifact: boolean | undefined;
  let attestationInline: boolean | undefined;
  for (const [key, value] of Object.entries(attrs)) {
    switch (key) {
      case "name":
        name = value;
        break;
      case "oci-mediatypes":
        ociMediaTypes = parseBool(key, value);
        break;
      case "rewrite-timestamp":
        rewriteTimestamp = parseBool(key, value);
        break;
      case "source-date-epoch": {
        const seconds = parseEpoch(key, value);
        epoch = { explicit: true, ...(seconds === undefined ? {} : { seconds }) };
        break;
      }
      case "prefer-nondist-layers":
        preferNonDistributable = parseBool(key, value);
        break;
      case "oci-artifact":
        ociArtifact = parseBool(key, value);
        break;
      case "attestation-inline":
        attestationInline = parseBool(key, value);
        break;
      case "compression":
      case "compression-level":
      case "force-compression":
        break;
      default:
        if (!annotations.add(key, value)) rest[key] = value;
    }
  }
  const compression = parseCompression(attrs);
  if (compression.type === "estargz" && ociMediaTypes === false) {
    throw new BuildError(Code.Unknown, 'exporter option "compression=estargz" conflicts with "oci-mediatypes=false"');
  }
  return {
    name,
    ociMediaTypes,
    compression,
    rewriteTimestamp,
    preferNonDistributable,
    epoch,
    annotations,
    ociArtifact,
    attestationInline,
    rest,
  };
}

/** The names of the image: given, or for `*` those the frontend chose. */
export function imageNames({ name }: Pick<ImageOptions, "name">, metadata: ExportSource["metadata"]): string[] {
  const fromResult = metadata.get("image.name");
  const names = name === "*" && fromResult !== undefined ? new TextDecoder().decode(fromResult) : name;
  return names === "" ? [] : names.split(",");
}
