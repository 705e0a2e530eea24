import type { ResolveSourceMetaRequest, ResolveSourceMetaResponse } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import { platformFromMessage } from "./platform-messages.ts";
import { timestampFromMs } from "./timestamp.ts";

/** @throws BuildError InvalidArgument without a source, Unimplemented for what is not asked of sources here */
export function sourceMetaFromMessage(request: ResolveSourceMetaRequest): SourceMetaRequest {
  const { Source: source, Platform: platform, Image: image, Git: git } = request;
  if (source === undefined) throw new BuildError(Code.InvalidArgument, "source is required");
  if (image?.AttestationChain || (image?.ResolveAttestations ?? []).length > 0) throw unsupported("image attestations");
  if (request.HTTP?.ChecksumRequest !== undefined) throw unsupported("checksums of http sources");
  return {
    source,
    ...(platform === undefined ? {} : { platform: platformFromMessage(platform) }),
    ...(request.LogName === "" ? {} : { logName: request.LogName }),
    ...(request.ResolveMode === "" ? {} : { resolveMode: request.ResolveMode }),
    sourcePolicies: request.SourcePolicies,
    ...(image === undefined ? {} : { image: { noConfig: image.NoConfig } }),
    ...(git === undefined ? {} : { git: { returnObject: git.ReturnObject } }),
  };
}

export function sourceMetaToMessage(meta: SourceMeta): ResolveSourceMetaResponse {
  return {
    Source: meta.source,
    Image: meta.image && { Digest: meta.image.digest, Config: meta.image.config, AttestationChain: undefined },
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
      ChecksumResponse: undefined,
    },
  };
}

function unsupported(what: string): BuildError {
  return new BuildError(Code.Unimplemented, `source metadata: ${what} are not supported yet`);
}
