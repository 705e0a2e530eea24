import type { AttestationChain } from "../../core/values/attestation-chain.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import { isManifestType, MediaType } from "../../core/values/media-type.ts";
import { formatPlatform, type Platform } from "../../core/values/platform.ts";
import { sourceError } from "../source-identifier.ts";
import { type ImageIndex, parseIndex, parseManifest } from "./image-manifest.ts";
import { PlatformMatcher } from "./platform-matcher.ts";

/** Reads what belongs to one image. */
export interface ChainReader {
  /** Whole and verified. */
  read(descriptor: Descriptor): Promise<Uint8Array>;
  /** What says that it is about a manifest. */
  referrers(digest: Digest): Promise<readonly Descriptor[]>;
}

/** Signatures, best first. */
const signatureTypes = [
  "application/vnd.dev.sigstore.bundle.v0.3+json",
  "application/vnd.dev.cosign.artifact.sig.v1+json",
];
const statementType = "application/vnd.in-toto+json";
const provenanceTypes = ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"];
const predicateType = "in-toto.io/predicate-type";

/** All blobs of a chain; it goes to the client in one message, which may have 16 MiB. */
const maxChainBytes = 12 << 20;

/**
 * Follows an index to attestations and signatures (BuildKit source/containerimage/source.go, moby/policy-helpers).
 * @param predicateTypes of statements to read as well
 * @returns undefined for an image without an OCI index: nothing can speak for it
 */
export async function readAttestationChain(
  root: Descriptor,
  platform: Platform,
  predicateTypes: readonly string[],
  reader: ChainReader,
): Promise<AttestationChain | undefined> {
  if (root.mediaType !== MediaType.ociIndex) return undefined;
  const blobs = new ChainBlobs(reader);
  const index = parseIndex(root, await blobs.add(root));
  const image = imageManifest(index, platform);
  const attestation = await attestationOf(index, image, reader);
  const chain = { root: root.digest, imageManifest: image.digest, signatureManifests: [], blobs: blobs.all };
  if (attestation === undefined) return chain;
  const bytes = await blobs.add(attestation);
  const signature = best(await reader.referrers(attestation.digest));
  if (signature !== undefined) {
    const { layers } = parseManifest(signature, await blobs.add(signature));
    for (const layer of layers) await blobs.add(layer);
  }
  if (predicateTypes.length > 0) {
    const { layers } = parseManifest(attestation, bytes);
    const wanted = layers.filter(({ annotations }) => predicateTypes.includes(annotations?.[predicateType] ?? ""));
    for (const layer of wanted) await blobs.add(layer);
  }
  return {
    ...chain,
    attestationManifest: attestation.digest,
    signatureManifests: signature === undefined ? [] : [signature.digest],
  };
}

class ChainBlobs {
  readonly all = new Map<Digest, { readonly descriptor: Descriptor; readonly data: Uint8Array }>();
  readonly #reader: ChainReader;
  #bytes = 0;

  constructor(reader: ChainReader) {
    this.#reader = reader;
  }

  async add(descriptor: Descriptor): Promise<Uint8Array> {
    const known = this.all.get(descriptor.digest);
    if (known !== undefined) return known.data;
    this.#bytes += descriptor.size;
    if (this.#bytes > maxChainBytes) throw sourceError(`attestations of an image exceed ${maxChainBytes} bytes`);
    const data = await this.#reader.read(descriptor);
    this.all.set(descriptor.digest, { descriptor, data });
    return data;
  }
}

function imageManifest({ manifests }: ImageIndex, platform: Platform): Descriptor {
  const image = new PlatformMatcher(platform).best(manifests.filter(({ mediaType }) => isManifestType(mediaType)));
  if (image !== undefined) return image;
  const name = formatPlatform(platform);
  throw sourceError(`resolving image manifest for platform ${name}: no manifest for platform ${name}: not found`);
}

async function attestationOf(
  index: ImageIndex,
  image: Descriptor,
  reader: ChainReader,
): Promise<Descriptor | undefined> {
  if (!isHardened(index)) {
    return index.manifests.find(
      ({ annotations }) =>
        annotations?.["vnd.docker.reference.type"] === "attestation-manifest" &&
        annotations["vnd.docker.reference.digest"] === image.digest,
    );
  }
  const attestation = (await reader.referrers(image.digest)).find(
    ({ artifactType, annotations }) =>
      artifactType === statementType && provenanceTypes.includes(annotations?.[predicateType] ?? ""),
  );
  if (attestation === undefined) {
    throw sourceError(`no attestation referrers found for DHI manifest ${image.digest}`);
  }
  return attestation;
}

/** Docker's hardened images keep attestations as referrers of each manifest. */
function isHardened({ manifests, annotations }: ImageIndex): boolean {
  return (
    (annotations?.["org.opencontainers.image.title"] ?? "").startsWith("dhi/") &&
    manifests.every((manifest) => Boolean(manifest.annotations?.["com.docker.dhi.build.id"]))
  );
}

function best(referrers: readonly Descriptor[]): Descriptor | undefined {
  return signatureTypes
    .map((type) => referrers.find(({ artifactType }) => artifactType === type))
    .find((found) => found !== undefined);
}
