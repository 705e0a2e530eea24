import type { Descriptor, OciPlatform } from "../../core/values/descriptor.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import { goJson } from "../../util/go-json.ts";
import { ociTypes } from "../image/media-types.ts";
import type { InTotoStatement } from "./in-toto-statement.ts";

export interface AttestationDocument {
  readonly mediaType: string;
  readonly data: Uint8Array;
}

const statementMediaType = "application/vnd.in-toto+json";
const artifactType = "application/vnd.docker.attestation.manifest.v1+json";
const emptyMediaType = "application/vnd.oci.empty.v1+json";
const nowhere: OciPlatform = { architecture: "unknown", os: "unknown" };

/**
 * The manifest that holds the statements on an image manifest (map f20; BuildKit exporter/containerimage/writer.go,
 * commitAttestationsManifest).
 * @param asArtifact it refers to the image; else it looks like an image with a config of its own
 * @returns its descriptor for the index, and all documents, each before what refers to it
 */
export function attestationManifest(
  target: Descriptor,
  statements: readonly InTotoStatement[],
  asArtifact: boolean,
): { readonly descriptor: Descriptor; readonly documents: ReadonlyMap<Digest, AttestationDocument> } {
  const documents = new Map<Digest, AttestationDocument>();
  const add = (mediaType: string, text: string): Descriptor => {
    const data = new TextEncoder().encode(text);
    const digest = sha256(data);
    documents.set(digest, { mediaType, data });
    return { mediaType, digest, size: data.length };
  };
  const layers = statements.map((statement) => ({
    ...add(statementMediaType, goJson(statement)),
    annotations: { "in-toto.io/predicate-type": statement.predicateType },
  }));
  const config = asArtifact
    ? { ...add(emptyMediaType, "{}"), data: "e30=" }
    : add(ociTypes.config, goJson(imageConfig(layers.map(({ digest }) => digest))));
  const { mediaType, digest, size } = target;
  const manifest = {
    schemaVersion: 2,
    mediaType: ociTypes.manifest,
    ...(asArtifact ? { artifactType } : {}),
    config,
    layers,
    ...(asArtifact ? { subject: { mediaType, digest, size } } : {}),
  };
  const annotations = {
    "vnd.docker.reference.digest": digest,
    "vnd.docker.reference.type": "attestation-manifest",
  };
  const descriptor = { ...add(ociTypes.manifest, goJson(manifest, "  ")), annotations, platform: nowhere };
  return { descriptor, documents };
}

/** The statements as the layers of an image, for registries and tools that know nothing else. */
function imageConfig(diffIds: readonly Digest[]): object {
  const rootfs = { type: "layers", diff_ids: diffIds.length === 0 ? null : diffIds };
  return { ...nowhere, config: {}, rootfs };
}
