import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Descriptor } from "../../../src/core/values/descriptor.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import { readAttestationChain } from "../../../src/source/image/attestation-chain.ts";

const amd64 = normalizePlatform({ os: "linux", architecture: "amd64" });
const provenance = "https://slsa.dev/provenance/v1";
const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
const cosign = "application/vnd.dev.cosign.artifact.sig.v1+json";

/** Blobs of a repository, and what refers to them. */
class Repository {
  readonly #blobs = new Map<Digest, Uint8Array>();
  readonly #referrers = new Map<Digest, Descriptor[]>();

  add(mediaType: string, content: object | string, more: Partial<Descriptor> = {}): Descriptor {
    const bytes = Buffer.from(typeof content === "string" ? content : JSON.stringify(content));
    const digest = sha256(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length, ...more };
  }

  manifest(layers: readonly Descriptor[], more: Partial<Descriptor> = {}): Descriptor {
    const config = this.add(MediaType.ociConfig, {});
    return this.add(MediaType.ociManifest, { config, layers, about: more }, more);
  }

  refer(to: Descriptor, from: Descriptor): void {
    this.#referrers.set(to.digest, [...(this.#referrers.get(to.digest) ?? []), from]);
  }

  chain(root: Descriptor, predicateTypes: readonly string[] = []) {
    return readAttestationChain(root, amd64, predicateTypes, {
      read: async ({ digest }) => this.#blobs.get(digest) ?? assert.fail(`${digest} is not there`),
      referrers: async (digest) => this.#referrers.get(digest) ?? [],
    });
  }
}

function attested(repository: Repository) {
  const statement = (type: string) =>
    repository.add("application/vnd.in-toto+json", `statement ${type}`, {
      annotations: { "in-toto.io/predicate-type": type },
    });
  const statements = { provenance: statement(provenance), sbom: statement("https://spdx.dev/Document") };
  const image = repository.manifest([], { platform: { os: "linux", architecture: "amd64" } });
  const attestation = repository.manifest(Object.values(statements), {
    platform: { os: "unknown", architecture: "unknown" },
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": image.digest,
    },
  });
  const other = repository.manifest([], { platform: { os: "linux", architecture: "arm64" } });
  const root = repository.add(MediaType.ociIndex, { manifests: [other, image, attestation] });
  return { root, image, attestation, ...statements };
}

describe("readAttestationChain()", () => {
  it("finds the attestations of a platform, and the statements asked for", async () => {
    const repository = new Repository();
    const { root, image, attestation, provenance: statement } = attested(repository);
    const chain = await repository.chain(root, [provenance]);
    assert.equal(chain?.root, root.digest);
    assert.equal(chain.imageManifest, image.digest);
    assert.equal(chain.attestationManifest, attestation.digest);
    assert.deepEqual(chain.signatureManifests, []);
    assert.deepEqual([...chain.blobs.keys()], [root.digest, attestation.digest, statement.digest]);
    assert.deepEqual(chain.blobs.get(statement.digest)?.descriptor, statement);
  });

  it("finds the best signature, with all that is in it", async () => {
    const repository = new Repository();
    const { root, attestation } = attested(repository);
    const content = repository.add("application/json", "signature");
    for (const artifactType of ["application/other", cosign, bundle]) {
      repository.refer(attestation, repository.manifest([content], { artifactType }));
    }
    const chain = await repository.chain(root);
    const [signature] = chain?.signatureManifests ?? [];
    assert.equal(chain?.blobs.get(signature as Digest)?.descriptor.artifactType, bundle);
    assert.deepEqual([...(chain?.blobs.keys() ?? [])], [root.digest, attestation.digest, signature, content.digest]);
  });

  it("tells that nothing speaks for an image", async () => {
    const repository = new Repository();
    const image = repository.manifest([], { platform: { os: "linux", architecture: "amd64" } });
    assert.equal(await repository.chain(image), undefined);
    const bare = await repository.chain(repository.add(MediaType.ociIndex, { manifests: [image] }));
    assert.equal(bare?.imageManifest, image.digest);
    assert.equal(bare.attestationManifest, undefined);
    const arm = repository.manifest([], { platform: { os: "linux", architecture: "arm64" } });
    await assert.rejects(repository.chain(repository.add(MediaType.ociIndex, { manifests: [arm] })), {
      message: "resolving image manifest for platform linux/amd64: no manifest for platform linux/amd64: not found",
    });
  });

  it("takes provenance of hardened images from what refers to them", async () => {
    const repository = new Repository();
    const image = repository.manifest([], {
      platform: { os: "linux", architecture: "amd64" },
      annotations: { "com.docker.dhi.build.id": "1" },
    });
    const annotations = { "org.opencontainers.image.title": "dhi/static" };
    const root = repository.add(MediaType.ociIndex, { manifests: [image], annotations });
    await assert.rejects(repository.chain(root), /no attestation referrers found for DHI manifest/);
    const artifactType = "application/vnd.in-toto+json";
    const refer = (type: string) => {
      const statement = repository.manifest([], { artifactType, annotations: { "in-toto.io/predicate-type": type } });
      repository.refer(image, statement);
      return statement;
    };
    refer("https://spdx.dev/Document");
    const statement = refer(provenance);
    assert.equal((await repository.chain(root))?.attestationManifest, statement.digest);
  });

  it("does not read without end", async () => {
    const repository = new Repository();
    const { root, attestation } = attested(repository);
    const huge = { mediaType: "application/json", digest: sha256("huge"), size: 100 << 20 };
    repository.refer(attestation, repository.manifest([huge], { artifactType: bundle }));
    await assert.rejects(repository.chain(root), /attestations of an image exceed 12582912 bytes/);
  });
});
