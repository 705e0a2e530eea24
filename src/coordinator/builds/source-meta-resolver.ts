import { SourceOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { ChecksumRequest } from "../../core/values/checksum-request.ts";
import { parseDigest, sha256 } from "../../core/values/digest.ts";
import { hostPlatform } from "../../core/values/platform.ts";
import type { ResolvedSource } from "../../core/values/task.ts";
import type { ImageResolver } from "../../source/index.ts";
import type { ResolvedSources } from "../ops/resolved-sources.ts";

/** Immutable identity and metadata of sources: images here, git and http by an agent (map j7). */
export class SourceMetaResolver {
  readonly #images: ImageResolver;
  readonly #dispatcher: TaskDispatcher;
  readonly #known: ResolvedSources;

  constructor(images: ImageResolver, dispatcher: TaskDispatcher, known: ResolvedSources) {
    this.#images = images;
    this.#dispatcher = dispatcher;
    this.#known = known;
  }

  /** The build of a session is over: its sources are asked anew next time. */
  forget(sessionId: string): void {
    this.#known.forget(sessionId);
  }

  async resolve(request: SourceMetaRequest, context: DispatchContext): Promise<SourceMeta> {
    const { source } = request;
    const scheme = source.identifier.slice(0, source.identifier.indexOf("://"));
    if (scheme === "local") return { source };
    if (scheme === "docker-image" || scheme === "oci-layout") return this.#image(request, context);
    const known = this.#known.find(context.sessions.ids, source);
    const resolved = await this.#dispatcher.run(
      "source.resolve",
      {
        source: SourceOp.encode(source).finish(),
        platform: request.platform ?? hostPlatform(),
        gitObjects: request.git?.returnObject === true,
        ...(request.http === undefined ? {} : { checksum: request.http.checksum }),
        ...(known === undefined ? {} : { known }),
      },
      { ...context, affinity: `source ${sha256(source.identifier.replace(/#.*/, ""))}` },
    );
    this.#known.remember(context.sessions.ids, source, resolved);
    if (scheme === "git") return { source, git: gitMeta(resolved) };
    if (scheme === "http" || scheme === "https") return { source, http: httpMeta(resolved, request.http?.checksum) };
    return { source };
  }

  async #image(request: SourceMetaRequest, context: DispatchContext): Promise<SourceMeta> {
    const { sessions, signal, progress } = context;
    const call = { sessions, signal, progress };
    const { source, resolveMode: mode, platform = hostPlatform() } = request;
    const wanted = mode ? { ...source, attrs: { ...source.attrs, "image.resolvemode": mode } } : source;
    const { noConfig = false, attestations } = request.image ?? {};
    const image = noConfig
      ? { digest: await this.#images.resolveDigest(wanted, call), config: new Uint8Array() }
      : await this.#images.resolveConfig(wanted, platform, call);
    if (attestations === undefined) return { source, image };
    const chain = await this.#images.resolveAttestations(wanted, platform, attestations.predicateTypes, call);
    if (chain === undefined) return { source, image };
    if (chain.root !== image.digest) {
      throw new BuildError(
        Code.Unknown,
        `attestation chain root digest ${chain.root} does not match image digest ${image.digest}`,
      );
    }
    return { source, image: { ...image, attestationChain: chain } };
  }
}

function gitMeta({ pin, details }: ResolvedSource): NonNullable<SourceMeta["git"]> {
  const decodeObject = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, "base64"));
  const commitObject = decodeObject(details["commitObject"]);
  const tagObject = decodeObject(details["tagObject"]);
  return {
    checksum: details["checksum"] ?? pin,
    ref: details["ref"] ?? "",
    commitChecksum: details["commitChecksum"] ?? "",
    ...(commitObject === undefined ? {} : { commitObject }),
    ...(tagObject === undefined ? {} : { tagObject }),
  };
}

function httpMeta({ pin, details }: ResolvedSource, asked?: ChecksumRequest): NonNullable<SourceMeta["http"]> {
  const lastModified = details["lastModified"] === undefined ? Number.NaN : Date.parse(details["lastModified"]);
  return {
    checksum: parseDigest(pin),
    filename: details["filename"] ?? "",
    ...(Number.isNaN(lastModified) ? {} : { lastModified }),
    ...(asked === undefined ? {} : { requested: { digest: details["checksum"] ?? "", suffix: asked.suffix } }),
  };
}
