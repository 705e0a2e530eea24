import type {
  AttestationChain as AttestationChainMessage,
  ChecksumRequest as ChecksumRequestMessage,
  ResolveSourceImageRequest,
  ResolveSourceMetaRequest,
  ResolveSourceMetaResponse,
} from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import type { AttestationChain } from "../../core/values/attestation-chain.ts";
import type { ChecksumRequest } from "../../core/values/checksum-request.ts";
import { platformFromMessage } from "./platform-messages.ts";
import { timestampFromMs } from "./timestamp.ts";

/** Bytes after a file; a signature has less. */
const maxSuffixBytes = 4096;
const checksumAlgorithms = ["sha256", "sha384", "sha512"] as const;

/** @throws BuildError InvalidArgument without a source; for a bad checksum request */
export function sourceMetaFromMessage(request: ResolveSourceMetaRequest): SourceMetaRequest {
  const { Source: source, Platform: platform, Image: image, Git: git, HTTP: http } = request;
  if (source === undefined) throw new BuildError(Code.InvalidArgument, "source is required");
  return {
    source,
    ...(platform === undefined ? {} : { platform: platformFromMessage(platform) }),
    ...(request.LogName === "" ? {} : { logName: request.LogName }),
    ...(request.ResolveMode === "" ? {} : { resolveMode: request.ResolveMode }),
    sourcePolicies: request.SourcePolicies,
    ...(image === undefined ? {} : { image: imageFromMessage(image) }),
    ...(git === undefined ? {} : { git: { returnObject: git.ReturnObject } }),
    ...(http?.ChecksumRequest === undefined ? {} : { http: { checksum: checksumFromMessage(http.ChecksumRequest) } }),
  };
}

function imageFromMessage(image: ResolveSourceImageRequest): NonNullable<SourceMetaRequest["image"]> {
  const predicateTypes = image.ResolveAttestations.filter((type) => type !== "");
  const wantsChain = image.AttestationChain || image.ResolveAttestations.length > 0;
  return { noConfig: image.NoConfig, ...(wantsChain ? { attestations: { predicateTypes } } : {}) };
}

function checksumFromMessage({ Algo, Suffix: suffix }: ChecksumRequestMessage): ChecksumRequest {
  if (suffix.length > maxSuffixBytes) {
    throw new BuildError(Code.Unknown, `http checksum request suffix exceeds max size ${maxSuffixBytes}`);
  }
  const algorithm = checksumAlgorithms[Algo];
  if (algorithm === undefined) throw new BuildError(Code.Unknown, `unsupported checksum algorithm ${Algo}`);
  return { algorithm, suffix };
}

function chainToMessage(chain: AttestationChain): AttestationChainMessage {
  const blobs = [...chain.blobs].map(([digest, { descriptor, data }]) => {
    const { mediaType, size, annotations = {} } = descriptor;
    return [digest, { descriptor: { mediaType, digest, size, annotations: { ...annotations } }, data }] as const;
  });
  return {
    Root: chain.root,
    ImageManifest: chain.imageManifest,
    AttestationManifest: chain.attestationManifest ?? "",
    SignatureManifests: [...chain.signatureManifests],
    Blobs: Object.fromEntries(blobs),
  };
}

export function sourceMetaToMessage(meta: SourceMeta): ResolveSourceMetaResponse {
  return {
    Source: meta.source,
    Image: meta.image && {
      Digest: meta.image.digest,
      Config: meta.image.config,
      AttestationChain: meta.image.attestationChain && chainToMessage(meta.image.attestationChain),
    },
    Git: meta.git && {
      Checksum: meta.git.checksum,
      Ref: meta.git.ref,
      CommitChecksum: meta.git.commitChecksum,
      CommitObject: meta.git.commitObject ?? new Uint8Array(0),
      TagObject: meta.git.tagObject ?? new Uint8Array(0),
    },
    HTTP: meta.http && {
      Checksum: meta.http.checksum,
      Filename: meta.http.filename,
      LastModified: timestampFromMs(meta.http.lastModified),
      ChecksumResponse: meta.http.requested && {
        Digest: meta.http.requested.digest,
        Suffix: meta.http.requested.suffix,
      },
    },
  };
}
