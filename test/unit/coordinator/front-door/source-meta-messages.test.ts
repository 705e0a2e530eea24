import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ResolveSourceMetaRequest } from "../../../../src/api/gen/gateway.ts";
import { sourceMetaFromMessage, sourceMetaToMessage } from "../../../../src/coordinator/front-door/index.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";

const source = { identifier: "docker-image://host/x:1", attrs: {} };
const read = (more: Parameters<typeof ResolveSourceMetaRequest.fromPartial>[0]) =>
  sourceMetaFromMessage(ResolveSourceMetaRequest.fromPartial({ Source: source, ...more }));

describe("source metadata on the wire", () => {
  it("asks for attestations when statements are wanted", () => {
    assert.deepEqual(read({ Image: { NoConfig: true } }).image, { noConfig: true });
    assert.deepEqual(read({ Image: { AttestationChain: true } }).image, {
      noConfig: false,
      attestations: { predicateTypes: [] },
    });
    assert.deepEqual(read({ Image: { ResolveAttestations: ["", "a"] } }).image?.attestations, {
      predicateTypes: ["a"],
    });
  });

  it("asks for checksums of known kinds, and short ones", () => {
    const ask = (Algo: number, Suffix: Uint8Array) =>
      read({ HTTP: { ChecksumRequest: { Algo: Algo as 0, Suffix } } }).http;
    const suffix = Buffer.from("x");
    assert.deepEqual(ask(0, suffix), { checksum: { algorithm: "sha256", suffix } });
    assert.deepEqual(ask(2, suffix), { checksum: { algorithm: "sha512", suffix } });
    assert.throws(() => ask(99, suffix), { message: "unsupported checksum algorithm 99" });
    assert.throws(() => ask(0, new Uint8Array(4097)), {
      message: "http checksum request suffix exceeds max size 4096",
    });
  });

  it("tells a chain with its blobs", () => {
    const data = Buffer.from("{}");
    const [root, imageManifest, digest] = [sha256("root"), sha256("image"), sha256(data)];
    const descriptor = { mediaType: "a/b", digest, size: 2 };
    const blobs = new Map([[digest, { descriptor, data }]]);
    const attestationChain = { root, imageManifest, signatureManifests: [digest], blobs };
    const message = sourceMetaToMessage({
      source,
      image: { digest: root, config: new Uint8Array(), attestationChain },
    });
    assert.deepEqual(message.Image?.AttestationChain, {
      Root: root,
      ImageManifest: imageManifest,
      AttestationManifest: "",
      SignatureManifests: [digest],
      Blobs: { [digest]: { descriptor: { ...descriptor, annotations: {} }, data } },
    });
  });
});
